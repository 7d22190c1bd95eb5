"""Planning: which cards are made when, purely, from demand, capacity, calendar and clock."""
