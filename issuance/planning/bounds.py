"""What any plan costs at least, its couriers' trips included: the centre and each point for themselves.

The centre sells finished cards at prices by day, and every point buys its own (`chains`): whatever the prices, what
both pay at least is a bound (Lagrange). It begins at the prices of the linear programme. Where that is not enough, what
the points bought at each of the prices so far is a choice of a master programme, whose prices, not too far from the
best ones so far, are the next to be tried (the box step method, after Marsten, Hogan and Blankenship, 1975).
"""

import numpy as np

from issuance.planning.centre import add_centre
from issuance.planning.chains import Chains, Least
from issuance.planning.errors import PlanningError
from issuance.planning.region import Reals, Region
from issuance.planning.relaxation import CLUSTERS, finished_prices
from issuance.planning.solver import Programme, Running

WHOLE_TRIPS = (1.0, 0.75, 0.5, 0.25, 0.0)
ROUNDS = 25
# Of points that choose together: more would be closer, and the master programme slower.
CHOOSERS = 20
# A step may change a card's price by so much of what a day of a cohort's waiting costs; less after each that failed.
STEP, SMALLER = 3.0, 0.7
NOTICEABLE = 1e-3


def bound_with_trips(region: Region, *, enough: float, clusters: int = CLUSTERS) -> float:
    """What any plan costs at least, its trips included; looked for until it is `enough`, or no better one is near.

    Raises `PlanningError` where the solver finds no prices to begin with.
    """
    market = _Market(region, finished_prices(region, clusters=clusters))
    for _ in range(ROUNDS):
        if market.best >= enough or not market.hopeful:
            break
        market.step()
    return market.best


class _Market:
    """Prices [V, D] of finished cards, the best so far, and the bound they give."""

    def __init__(self, region: Region, prices: Reals) -> None:
        self.points = Chains(region)
        self.prices, self.box = prices, STEP * max(region.prices.wait[-1], NOTICEABLE)
        self.chooser = np.arange(len(region.places)) % CHOOSERS
        self._centre(region)
        self._master(region)
        self.whole = self._shares(prices)
        self.best = -np.inf
        self.hopeful = True
        self._choose(prices)

    def step(self) -> None:
        """Ask the master programme for the next prices, and try them."""
        before = self.best
        self.running.price(self.more, self.prices + self.box)
        self.running.price(self.less, -np.maximum(self.prices - self.box, 0.0))
        try:
            solved = self.running.solve()
            self.hopeful = solved.value + self.points.base > self.best + NOTICEABLE * abs(self.best)
            self._choose(np.maximum(-solved.duals[self.rows], 0.0))
        except PlanningError:
            # What was found so far is a bound all the same, and the plan comes whatever the numbers.
            self.hopeful = False
            return
        if self.best <= before:
            self.box *= SMALLER

    def _choose(self, prices: Reals) -> None:
        """Let everybody choose at these prices, and the master programme know what the points chose."""
        least = self.points.least(prices, self.whole)
        bound = self._sold(prices) + float(least.value.sum()) + self.points.base
        if bound > self.best:
            self.best, self.prices = bound, prices
        self._note(least, prices)

    def _sold(self, prices: Reals) -> float:
        self.selling.price(self.sold, -prices)
        return self.selling.solve().value

    def _note(self, least: Least, prices: Reals) -> None:
        own = least.value - (least.leaves * prices).sum(axis=(1, 2))
        for number, row in enumerate(self.one_each):
            mine = self.chooser == number
            leaves = least.leaves[mine].sum(axis=0)
            some = leaves > 0
            rows = np.concatenate([[row], self.rows[some]])
            self.running.add_column(float(own[mine].sum()), rows, np.concatenate([[1.0], leaves[some]]))

    def _centre(self, region: Region) -> None:
        """What the centre makes when it can sell all it has."""
        selling = Programme()
        rows = add_centre(selling, region)
        self.sold = selling.add_columns(rows.shape)
        selling.put(rows, self.sold, 1.0)
        self.selling = Running(selling)

    def _master(self, region: Region) -> None:
        """The centre and what the points chose so far; cards over or missing cost the edges of the box."""
        master = Programme()
        self.rows = add_centre(master, region)
        self.more, self.less = (master.add_columns(self.rows.shape) for _ in range(2))
        master.put(self.rows, self.more, -1.0)
        master.put(self.rows, self.less, 1.0)
        self.one_each = master.add_rows((int(self.chooser.max()) + 1,), low=1.0, high=1.0)
        self.running = Running(master)

    def _shares(self, prices: Reals) -> Reals:
        """[P] the share of whole trips that says the most at these prices."""
        points = len(self.chooser)
        said = [self.points.least(prices, np.full(points, share)).value for share in WHOLE_TRIPS]
        found: Reals = np.array(WHOLE_TRIPS)[np.argmax(said, axis=0)]
        return found
