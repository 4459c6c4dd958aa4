"""How shap and shapiq are asked for the Shapley values of a game of n players, each for the budget it is given."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of shap's plots, at what matplotlib will drop
    import shap
    import shapiq

SEED = 1

Values = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Coalitional = Callable[[Values, int], NDArray[np.float64]]


def shap_exact(values: Values, n: int) -> NDArray[np.float64]:
    explainer = shap.explainers.Exact(values, shap.maskers.Independent(np.zeros((1, n))))
    return explainer(np.ones((1, n)), max_evals=2**n, silent=True).values[0]


def shap_permutation(values: Values, n: int) -> NDArray[np.float64]:
    explainer = shap.explainers.Permutation(values, shap.maskers.Independent(np.zeros((1, n))), seed=SEED)
    return explainer(np.ones((1, n)), max_evals=sampling(n), silent=True).values[0]


def shap_kernel(values: Values, n: int) -> NDArray[np.float64]:
    explainer = shap.KernelExplainer(values, np.zeros((1, n)))
    return explainer.shap_values(np.ones((1, n)), nsamples=kernel(n), l1_reg=False, silent=True)[0]


def shapiq_exact(values: Values, n: int) -> NDArray[np.float64]:
    return shapiq.ExactComputer(values, n_players=n)("SV", 1).get_n_order_values(1)


def shapiq_permutation(values: Values, n: int) -> NDArray[np.float64]:
    approximator = shapiq.PermutationSamplingSV(n=n, random_state=SEED)
    return approximator.approximate(sampling(n), values).get_n_order_values(1)


def shapiq_kernel(values: Values, n: int) -> NDArray[np.float64]:
    approximator = shapiq.KernelSHAP(n=n, random_state=SEED)
    return approximator.approximate(sampling(n), values).get_n_order_values(1)


def sampling(n: int) -> int:
    return 10 * (2 * n + 1)


def one_pair(n: int) -> int:
    return 2 * n + 1


def kernel(n: int) -> int:
    return 2 * n + 2048


def enumeration(n: int) -> int:
    return 2**n


@dataclass(frozen=True, slots=True)
class Way:
    """`at_once` of how many coalitions it holds together, where that is not its whole budget."""

    name: str
    find: Coalitional
    budget: Callable[[int], int]
    at_once: Callable[[int], int] | None = None

    def after(self, n: int) -> int:
        return n + 1 if self.budget is enumeration else 2 * n

    def cells(self, n: int) -> int:
        return n * (self.at_once or self.budget)(n)


WAYS = (
    Way("shap, Exact", shap_exact, enumeration),
    Way("shapiq, ExactComputer", shapiq_exact, enumeration),
    Way("shap, Permutation", shap_permutation, sampling, one_pair),
    Way("shapiq, PermutationSamplingSV", shapiq_permutation, sampling),
    Way("shap, KernelExplainer", shap_kernel, kernel),
    Way("shapiq, KernelSHAP", shapiq_kernel, sampling),
)
