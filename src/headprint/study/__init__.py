"""The whole paper by one command: jobs, exhibits, findings, tables and figures."""
