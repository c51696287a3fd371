"""Faults of all kinds for minutes while values flow over both adapters, judged from the senders' own logs."""
