"""Pure numerics: tensors in, tensors out. No asyncio, no clock, no Kafka, no files."""
