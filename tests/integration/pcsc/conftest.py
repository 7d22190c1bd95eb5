"""The machine's smart card service for these tests."""

from tests.support.pcsc import _pcsc_process, pcsc

__all__ = ["_pcsc_process", "pcsc"]
