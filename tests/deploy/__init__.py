"""What installs the bridge without Kubernetes: compose, systemd, and the proxies in front."""
