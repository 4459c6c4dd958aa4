// A PLC directory in memory and a real PDS, both on 127.0.0.1 only, until SIGTERM or the end of stdin.
//
// The one argument is JSON: { root, data, pdsPort, plcPort, options }, `options` being overrides of the PDS's
// environment. The packages are resolved from `root`, so that they may stand in a cache far from this file.

import { createRequire } from 'node:module'
import { randomBytes } from 'node:crypto'
import net from 'node:net'
import path from 'node:path'

const given = JSON.parse(process.argv[2])

// Both servers listen on every address; there is no setting for it, and a test has no business on any but loopback.
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (where, ...rest) {
  const port = typeof where === 'object' ? where.port : where
  const callback = rest.find((argument) => typeof argument === 'function')
  return listen.call(this, { port: Number(port), host: '127.0.0.1' }, callback)
}

const require = createRequire(path.join(given.root, 'package.json'))
const { PDS, envToCfg, envToSecrets } = require('@atproto/pds')
const { PlcServer, Database } = require('@did-plc/server')

const plc = PlcServer.create({ db: Database.mock(), port: given.plcPort })
await plc.start()

const environment = {
  devMode: true,
  port: given.pdsPort,
  hostname: 'localhost',
  dataDirectory: given.data,
  blobstoreDiskLocation: path.join(given.data, 'blobs'),
  didPlcUrl: `http://127.0.0.1:${given.plcPort}`,
  serviceHandleDomains: ['.test'],
  inviteRequired: false,
  rateLimitsEnabled: false,
  disableSsrfProtection: true,
  bskyAppViewUrl: 'http://127.0.0.1:1',
  bskyAppViewDid: 'did:example:nobody',
  adminPassword: given.adminPassword,
  jwtSecret: randomBytes(16).toString('hex'),
  plcRotationKeyK256PrivateKeyHex: randomBytes(32).toString('hex'),
  ...given.options,
}
const pds = await PDS.create(envToCfg(environment), envToSecrets(environment))
await pds.start()

let leaving = false
const leave = async () => {
  if (leaving) return
  leaving = true
  await pds.destroy()
  await plc.destroy()
  process.exit(0)
}
process.on('SIGTERM', leave)
process.stdin.on('end', leave) // whoever started us died without a word
process.stdin.resume()
