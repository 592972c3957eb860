"""What this gateway notices of the network: faults that were proven, and signs of trouble that prove nothing."""
