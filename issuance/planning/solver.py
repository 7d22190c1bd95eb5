"""Hides HiGHS: a linear programme grows by blocks of columns and rows of numpy arrays, and comes back solved.

HiGHS (MIT) is the only solver of this program; OR-tools must never be loaded into the same process.
"""

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from issuance.planning.errors import PlanningError
from issuance.planning.region import Reals

INFINITY = float(highspy.kHighsInf)


@dataclass(frozen=True)
class Solved:
    """The optimum: its value, the columns' values, and by row what one more unit of its bound is worth (its dual)."""

    value: float
    columns: Reals
    duals: Reals
    reduced: Reals


class Programme:
    """A linear programme to minimise, built block by block; indexes are arrays in the shape that was asked for."""

    def __init__(self) -> None:
        """Begin without a column."""
        self._columns: list[tuple[Reals, Reals, Reals]] = []
        self._rows: list[tuple[Reals, Reals]] = []
        self._entries: list[tuple[Any, Any, Reals]] = []
        self.columns = self.rows = 0

    def add_columns(self, shape: tuple[int, ...], *, cost: Any = 0.0, low: Any = 0.0, high: Any = INFINITY) -> Any:
        """Add a block of columns; cost and bounds are broadcast to its shape. Returns their indexes."""
        self._columns.append((_flat(cost, shape), _flat(low, shape), _flat(high, shape)))
        size = int(np.prod(shape))
        self.columns += size
        return np.arange(self.columns - size, self.columns).reshape(shape)

    def add_rows(self, shape: tuple[int, ...], *, low: Any, high: Any) -> Any:
        """Add a block of rows `low <= ... <= high`; returns their indexes."""
        self._rows.append((_flat(low, shape), _flat(high, shape)))
        size = int(np.prod(shape))
        self.rows += size
        return np.arange(self.rows - size, self.rows).reshape(shape)

    def put(self, rows: Any, columns: Any, value: Any) -> None:
        """Enter coefficients where row and column indexes meet, broadcast against each other."""
        rows, columns, value = np.broadcast_arrays(rows, columns, np.asarray(value, dtype=float))
        self._entries.append((rows.ravel(), columns.ravel(), value.ravel()))

    def balance(self, rows: Any, level: Any) -> None:
        """Let `level` carry over along the last axis: level[d] - level[d-1] is part of row d."""
        self.put(rows, level, 1.0)
        self.put(rows[..., 1:], level[..., :-1], -1.0)

    def solve(self) -> Solved:
        """Return the optimum; raises `PlanningError` when there is none, which a soft model never lets happen."""
        return Running(self).solve()

    def model(self) -> Any:
        """The programme as the solver takes it."""
        rows, columns, values = (np.concatenate([entry[part] for entry in self._entries]) for part in range(3))
        order = np.lexsort((rows, columns))
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = self.columns, self.rows
        model.col_cost_, model.col_lower_, model.col_upper_ = (
            np.concatenate([block[part] for block in self._columns]) for part in range(3)
        )
        model.row_lower_, model.row_upper_ = (
            np.concatenate([block[part] for block in self._rows]) for part in range(2)
        )
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        model.a_matrix_.start_ = np.searchsorted(columns[order], np.arange(self.columns + 1)).astype(np.int32)
        model.a_matrix_.index_ = rows[order].astype(np.int32)
        model.a_matrix_.value_ = values[order]
        return model


class Running:
    """A programme in the solver: prices change and columns come, and it goes on from its last optimum."""

    def __init__(self, programme: Programme) -> None:
        """Take over a programme; what is added to it later is not seen."""
        self._solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        options: dict[str, Any] = {"output_flag": False, "threads": 1, "solver": "simplex"}
        for option, value in options.items():
            self._solver.setOptionValue(option, value)
        self._solver.passModel(programme.model())

    def price(self, columns: Any, cost: Reals) -> None:
        """Give columns other costs, in the same shape."""
        self._solver.changeColsCost(columns.size, columns.ravel().astype(np.int32), cost.ravel().astype(float))

    def add_column(self, cost: float, rows: Any, values: Reals) -> None:
        """Add a column from nothing to infinity with these entries."""
        self._solver.addCol(cost, 0.0, INFINITY, len(rows), rows.astype(np.int32), values.astype(float))

    def solve(self) -> Solved:
        """Return the optimum; raises `PlanningError` when there is none."""
        solver = self._solver
        solver.run()
        status = solver.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            said = solver.modelStatusToString(status)
            raise PlanningError(
                f"The planner found no optimum ({said}): check the input for numbers beyond all measure."
            )
        found = solver.getSolution()
        best = float(solver.getInfo().objective_function_value)
        return Solved(best, np.array(found.col_value), np.array(found.row_dual), np.array(found.col_dual))


def _flat(value: Any, shape: tuple[int, ...]) -> Reals:
    return np.broadcast_to(np.asarray(value, dtype=float), shape).ravel()
