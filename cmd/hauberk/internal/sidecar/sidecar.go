// Package sidecar is the command `hauberk run`: a gateway in front of one service,
// in a process of its own.
package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

const long = `Forwards every call of every method to the upstream, without knowing its types,
through a chain of request id, metrics, logging and recovery.

Each call is a line of JSON on stdout, where lines are dropped, and counted, if
nobody reads them. Where the sidecar listens is on stderr, in a
line such as

  hauberk: listening on 127.0.0.1:8443, upstream 127.0.0.1:50051

SIGTERM and SIGINT end it: clients are told to go elsewhere, calls that run may
finish within the drain time, and the exit code is 0. A second signal ends it at
once.`

const examples = `  hauberk run --listen 127.0.0.1:8443 --upstream 127.0.0.1:50051
  hauberk run --listen 127.0.0.1:0 --upstream dns:///shop:50051 --drain 10s`

const defaultDrain = 30 * time.Second

// options are the command's flags.
type options struct {
	listen    string
	upstream  string
	drain     time.Duration
	insecure  bool
	forwardID bool
}

// Command returns `hauberk run`.
func Command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:     "run --listen ADDR --upstream ADDR",
		Short:   "Run the sidecar: a chain in front of any gRPC service",
		Long:    long,
		Example: examples,
		Args:    cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		// What nobody reads any more is no reason to end.
		signal.Ignore(syscall.SIGPIPE)
		ctx, release := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer release()
		address, err := o.check(ctx)
		if err != nil {
			return cmd.FlagErrorFunc()(cmd, err)
		}
		return o.run(signals{ctx.Done(), release}, address, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	flags := cmd.Flags()
	flags.StringVar(&o.listen, "listen", "", "the address to take calls on, host:port; port 0 is any free one")
	flags.StringVar(&o.upstream, "upstream", "",
		"the service to forward to: host:port, dns:///host:port or unix:///path")
	flags.DurationVar(&o.drain, "drain", defaultDrain, "how long calls may go on after a signal; 0 is not at all")
	flags.BoolVar(&o.insecure, "insecure", false, "take calls in plain text from other machines too")
	flags.BoolVar(&o.forwardID, "forward-request-id", false,
		"send each call's request id to the upstream, and back to the client, as "+requestid.DefaultHeader)
	return cmd
}

// check returns the address to listen on, or all that is wrong with the flags.
func (o *options) check(ctx context.Context) (*net.TCPAddr, error) {
	var errs []error
	addr, err := resolve(ctx, o.listen)
	switch {
	case o.listen == "":
		errs = append(errs, errors.New("--listen is missing; want an address such as 127.0.0.1:8443"))
	case err != nil:
		errs = append(errs, fmt.Errorf("--listen %q is not an address: %w;"+
			" want host:port, such as 127.0.0.1:8443", o.listen, err))
	case !addr.IP.IsLoopback() && !o.insecure:
		errs = append(errs, fmt.Errorf("--listen %q takes calls from other machines, in plain text;"+
			" want a loopback address such as 127.0.0.1:%d, or --insecure", o.listen, addr.Port))
	}
	if o.upstream == "" {
		errs = append(errs, errors.New("--upstream is missing; want an address such as 127.0.0.1:50051"))
	} else if err := (gateway.Config{Upstream: o.upstream}).Validate(); err != nil {
		errs = append(errs, fmt.Errorf("--upstream: %w", err))
	}
	if o.drain < 0 {
		errs = append(errs, fmt.Errorf("--drain is %v; want a duration such as 30s, or 0", o.drain))
	}
	return addr, errors.Join(errs...)
}

// resolve returns the address that a name stands for, so that what is checked is
// what is listened on. No host is all addresses of the machine.
func resolve(ctx context.Context, address string) (*net.TCPAddr, error) {
	host, name, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", name)
	if err != nil || host == "" {
		return &net.TCPAddr{Port: port}, err
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	return &net.TCPAddr{IP: ips[0].IP, Zone: ips[0].Zone, Port: port}, nil
}
