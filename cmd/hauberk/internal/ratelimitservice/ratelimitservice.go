// Package ratelimitservice implements the command `hauberk ratelimit-service`: a server of Envoy's
// rate limit protocol with a file of limits.
package ratelimitservice

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/address"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/web"
)

const long = `Answers the rate limit requests of Envoys and of services with package ratelimitrls:
the service envoy.service.ratelimit.v3.RateLimitService. The limits are in a file:

  unknown: ok                # or error: descriptors without a limit
  headers: x-ratelimit       # for clients: none, ratelimit, x-ratelimit or all
  overrides: false           # true obeys the limits that requests carry
  override_algorithm: gcra
  max_keys: 65536            # quotas that are kept for each limit
  limits:
    - domain: shop
      descriptors:
        - key: user          # each user has a quota
          limit: 100/1m
          burst: 20          # for gcra only; default: as many as the limit
        - key: user
          value: batch
          limit: 10/1m
          algorithm: fixed_window   # gcra, sliding_window or fixed_window
          mode: shadow              # enforce, shadow or off
          descriptors:       # for requests with a second entry
            - key: method
              limit: 5/1s
              name: methods         # for clients
              charge_rejected: true # counts requests over the limit as well
        - key: user
          value: root
          unlimited: true

All keys but limits, domain and key are optional. For each entry of a request, the
descriptor with its key and value counts, or else the one with its key and no value; the
limit is that of the last entry. The quotas are in the memory of this process, unless the
file names a Redis or Valkey, which several servers share:

  redis:
    addresses: [redis:6379]  # of a server, of nodes of a cluster or of Sentinels
    name: shop               # all servers that share the quotas have the same
    password_file: password  # in the folder of the file
    tls: {ca_file: ca.crt}   # and cert_file, key_file, server_name
    fail: local              # while Redis does not answer: local, open or closed
    nodes: 3                 # servers; each has this part of a limit with fail: local

Further keys of redis are username, db, cluster, sentinel, leases, timeout and retry; see
package policy/limitsfile.

Everything that is wrong with the file is reported with its line and column, and the exit
code is 1. SIGHUP reads the file again. Limits that are the same keep their counts. If
something is wrong with the new file, the old limits remain in force; the settings of
redis need a restart, except fail, nodes, timeout and retry. With --tls-cert and --tls-key
calls need TLS; the files are read again when they change. The address is on stderr, in a
line such as

  hauberk: listening on 127.0.0.1:8081, 5 limits

The health service (grpc.health.v1.Health) reports SERVING. SIGTERM and SIGINT stop the
server: health turns NOT_SERVING, clients receive GOAWAY, and running calls may finish
within the drain time. The exit code is 0. A second signal ends it at once.

With --telemetry ADDR it serves http://ADDR/metrics to Prometheus: the decisions of each
limit, and metrics of calls, the Go runtime and the process.`

const examples = `  hauberk ratelimit-service --config limits.yaml --listen 127.0.0.1:8081
  hauberk ratelimit-service --config limits.yaml --listen 127.0.0.1:8081 --telemetry 127.0.0.1:9464`

// options are the command's flags.
type options struct {
	config    string
	listen    string
	telemetry string // address; "" serves no metrics
	drain     time.Duration
	insecure  bool
	tls       tlsFiles

	telemetryTLS web.TLS
}

// addresses are the addresses to listen on.
type addresses struct {
	calls     *net.TCPAddr
	telemetry *net.TCPAddr // nil serves no metrics
}

// Command returns the command `hauberk ratelimit-service`.
func Command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:     "ratelimit-service --config FILE --listen ADDR",
		Short:   "Run a rate limit server for Envoys, with a file of limits",
		Long:    long,
		Example: examples,
		Args:    cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		signal.Ignore(syscall.SIGPIPE) // a closed stderr must not end the process
		ctx, release := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer release()
		reload := make(chan os.Signal, 1)
		signal.Notify(reload, syscall.SIGHUP) // until the process ends: the default action would change its exit code
		at, err := o.check(ctx)
		if err != nil {
			return cmd.FlagErrorFunc()(cmd, err)
		}
		return o.run(signals{reload, ctx.Done(), release}, at, cmd.ErrOrStderr())
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "", "read the limits from this file, in YAML")
	flags.StringVar(&o.listen, "listen", "", "listen for calls on this address, host:port; port 0 selects a free port")
	flags.StringVar(&o.telemetry, "telemetry", "",
		"serve /metrics on this address, host:port (default: not served)")
	flags.DurationVar(&o.drain, "drain", defaultDrain,
		"how long running calls may take after a signal; 0 cancels them at once")
	flags.BoolVar(&o.insecure, "insecure", false,
		"accept plain-text calls, and serve /metrics in plain text, from other machines")
	flags.StringVar(&o.tls.cert, "tls-cert", "", "file with the server's certificate in PEM (default: plain text)")
	flags.StringVar(&o.tls.key, "tls-key", "", "file with the key of the certificate in PEM")
	flags.StringVar(&o.tls.clientCA, "tls-client-ca", "",
		"file with authorities in PEM: callers need a certificate of one of them")
	scrape.AddTLS(&o.telemetryTLS, flags)
	return cmd
}

const defaultDrain = 30 * time.Second

// check returns the addresses to listen on, or an error for each wrong flag.
func (o *options) check(ctx context.Context) (at addresses, err error) {
	var errs [5]error
	if o.config == "" {
		errs[0] = errors.New("--config is missing; want a file such as limits.yaml")
	}
	at.calls, errs[1] = address.Listen(ctx, o.listen, "127.0.0.1:8081", o.insecure || o.tls.set())
	at.telemetry, errs[2] = scrape.Resolve(ctx, o.telemetry, o.telemetryTLS, o.insecure)
	if o.drain < 0 {
		errs[3] = fmt.Errorf("--drain is %v; want a duration such as 30s, or 0", o.drain)
	}
	errs[4] = o.tls.check()
	return at, errors.Join(errs[:]...)
}
