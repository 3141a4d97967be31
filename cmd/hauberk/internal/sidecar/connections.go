package sidecar

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/gateway"
)

// connections are the flags of the connections to the upstream, and of TLS on both sides.
type connections struct {
	balance           string
	connectTimeout    time.Duration
	minBackoff        time.Duration
	maxBackoff        time.Duration
	tcpTimeout        time.Duration
	pingAfter         time.Duration
	pingTimeout       time.Duration
	pingIdle          bool
	health            bool
	healthService     string
	ejectAfter        int
	ejectTime         time.Duration
	ejectPercent      int
	wait              time.Duration
	upstreamTLS       bool
	upstream, clients tlsFlags
}

// tlsFlags are the flags of TLS of one side.
type tlsFlags struct {
	cert, key, ca, name, version string
}

func (c *connections) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.balance, "upstream-balance", string(gateway.PickFirst),
		"how several addresses are used: pick_first or round_robin")
	flags.DurationVar(&c.connectTimeout, "upstream-connect-timeout", 0,
		"how long an attempt to connect to the upstream may take (default 5s)")
	flags.DurationVar(&c.minBackoff, "upstream-min-backoff", 0,
		"first delay between attempts to connect (default 50ms)")
	flags.DurationVar(&c.maxBackoff, "upstream-max-backoff", 0,
		"greatest delay between attempts to connect (default 500ms)")
	flags.DurationVar(&c.tcpTimeout, "upstream-tcp-timeout", 0,
		"how long the upstream's machine may not answer; -1s disables it (default 30s)")
	flags.DurationVar(&c.pingAfter, "upstream-ping-after", 0,
		"send PING after this time of silence, 10s or more; the upstream must permit it (default: none)")
	flags.DurationVar(&c.pingTimeout, "upstream-ping-timeout", 0,
		"how long the answer to a PING may take (default 20s)")
	flags.BoolVar(&c.pingIdle, "upstream-ping-idle", false, "send PING on connections without calls, too")
	flags.BoolVar(&c.health, "upstream-health", false,
		"use addresses of the upstream by their health (grpc.health.v1.Health/Watch)")
	flags.StringVar(&c.healthService, "upstream-health-service", "",
		"the service whose health is watched (default: the server as a whole)")
	flags.IntVar(&c.ejectAfter, "upstream-eject-after", 0,
		"do not use an address after this many consecutive transport errors (default: none)")
	flags.DurationVar(&c.ejectTime, "upstream-eject-time", 0, "how long an address is then not used (default 30s)")
	flags.IntVar(&c.ejectPercent, "upstream-eject-percent", 0,
		"largest percentage of addresses that are not used for errors (default 50)")
	flags.DurationVar(&c.wait, "upstream-wait", 0,
		"how long calls wait for a connection while attempts fail (default: not)")
	flags.BoolVar(&c.upstreamTLS, "upstream-tls", false, "call the upstream with TLS")
	flags.StringVar(&c.upstream.ca, "upstream-ca", "",
		"PEM file with the authorities of the upstream's certificate (default: those of the system)")
	flags.StringVar(&c.upstream.cert, "upstream-cert", "", "PEM file with the certificate for the upstream")
	flags.StringVar(&c.upstream.key, "upstream-key", "", "PEM file with the key of --upstream-cert")
	flags.StringVar(&c.upstream.name, "upstream-server-name", "",
		"name in the upstream's certificate (default: the host of --upstream)")
	flags.StringVar(&c.upstream.version, "upstream-tls-min", "1.2", "lowest version of TLS to the upstream: 1.2 or 1.3")
	flags.StringVar(&c.clients.cert, "tls-cert", "", "PEM file with the certificate for clients (default: plain text)")
	flags.StringVar(&c.clients.key, "tls-key", "", "PEM file with the key of --tls-cert")
	flags.StringVar(&c.clients.ca, "tls-client-ca", "",
		"PEM file with the authorities of the certificates that clients must have (default: none)")
	flags.StringVar(&c.clients.version, "tls-min", "1.2", "lowest version of TLS of clients: 1.2 or 1.3")
}

// secure reports whether clients use TLS.
func (c *connections) secure() bool { return c.clients.cert != "" && c.clients.key != "" }

// check returns an error for flags that contradict each other. gateway.Config checks the others.
func (c *connections) check() error {
	var errs []error
	if !c.upstreamTLS && (c.upstream != tlsFlags{version: c.upstream.version} || c.upstream.version == "1.3") {
		errs = append(errs, errors.New("flags of TLS to the upstream need --upstream-tls"))
	}
	if c.clients.cert == "" && c.clients.key == "" && (c.clients.ca != "" || c.clients.version == "1.3") {
		errs = append(errs, errors.New("--tls-client-ca and --tls-min need --tls-cert and --tls-key"))
	}
	if (c.clients.cert == "") != (c.clients.key == "") {
		errs = append(errs, errors.New("one of --tls-cert and --tls-key is missing; want both or none"))
	}
	if (c.upstream.cert == "") != (c.upstream.key == "") {
		errs = append(errs, errors.New("one of --upstream-cert and --upstream-key is missing; want both or none"))
	}
	for _, v := range []struct{ name, value string }{
		{"--upstream-tls-min", c.upstream.version}, {"--tls-min", c.clients.version},
	} {
		if v.value != "1.2" && v.value != "1.3" {
			errs = append(errs, fmt.Errorf("%s is %q; want 1.2 or 1.3", v.name, v.value))
		}
	}
	return errors.Join(errs...)
}

// config returns the configuration of TLS. failed receives problems of the files.
func (f tlsFlags) config(failed func(error)) *gateway.TLS {
	version := uint16(tls.VersionTLS12)
	if f.version == "1.3" {
		version = tls.VersionTLS13
	}
	return &gateway.TLS{
		CertFile: f.cert, KeyFile: f.key, CAFile: f.ca, ServerName: f.name, MinVersion: version, Failed: failed,
	}
}

// set sets the fields of a gateway's configuration.
func (c *connections) set(config *gateway.Config, sayf func(format string, args ...any)) {
	config.Connections = gateway.Connections{
		Balance: gateway.Balance(c.balance), ConnectTimeout: c.connectTimeout,
		MinBackoff: c.minBackoff, MaxBackoff: c.maxBackoff, TCPTimeout: c.tcpTimeout,
		PingAfter: c.pingAfter, PingTimeout: c.pingTimeout, PingIdle: c.pingIdle,
		HealthCheck: c.health, HealthService: c.healthService,
		EjectAfter: c.ejectAfter, EjectTime: c.ejectTime, EjectPercent: c.ejectPercent, WaitForReady: c.wait,
	}
	reports := func(flags string) func(error) {
		return func(err error) {
			if err != nil {
				sayf("%s: the last good certificate remains in use: %v", flags, err)
			} else {
				sayf("%s: the files are good again", flags)
			}
		}
	}
	if c.upstreamTLS {
		config.Connections.TLS = c.upstream.config(reports("--upstream-cert, --upstream-key"))
	}
	if c.secure() {
		config.TLS = c.clients.config(reports("--tls-cert, --tls-key"))
	}
}
