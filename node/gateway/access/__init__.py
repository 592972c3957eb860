"""Who may spend: API keys, sign-in with Ethereum, limits, payment with a request."""
