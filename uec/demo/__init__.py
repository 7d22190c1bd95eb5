"""The demonstration: the office's own processes and services on one machine, with people and cards that are made up.

`main_job` runs the whole way once and reports; `site` starts the processes; `tray` is the hand that puts virtual cards
into virtual readers; `python -m uec.demo` ties them together for `scripts/demo`.
"""
