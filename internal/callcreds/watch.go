package callcreds

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
)

// Watch observes the credentials of one attempt of a call. grpc-go asks credentials on a
// connection, before it sends anything. A nil Watch observes nothing. Safe for concurrent use.
type Watch struct {
	creds credentials.PerRPCCredentials

	mu      sync.Mutex
	pending bool              // grpc-go has asked for something, and has not got metadata yet
	md      map[string]string // the metadata that it got last
}

// Watched returns the options with which an attempt is made, and the Watch of its effective
// credentials. grpc-go uses the credentials of the last option, which is that of the Watch. If
// there are no credentials, the Watch is nil and the options are opts.
func Watched(opts []grpc.CallOption) ([]grpc.CallOption, *Watch) {
	creds := Effective(opts)
	if creds == nil {
		return opts, nil
	}
	w := &Watch{creds: creds}
	var watched credentials.PerRPCCredentials = w
	if l, ok := creds.(Lasting); ok {
		watched = &lastingWatch{w, l}
	}
	return append(slices.Clip(opts), grpc.PerRPCCredentials(watched)), w
}

// Unwatched returns credentials without the Watch around them.
func Unwatched(creds credentials.PerRPCCredentials) credentials.PerRPCCredentials {
	for {
		switch w := creds.(type) {
		case *Watch:
			creds = w.creds
		case *lastingWatch:
			creds = w.creds
		default:
			return creds
		}
	}
}

// GetRequestMetadata returns what the credentials return.
func (w *Watch) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	w.note(true, nil)
	md, err := w.creds.GetRequestMetadata(ctx, uri...)
	w.note(err != nil, md)
	return md, err
}

// RequireTransportSecurity returns what the credentials return. If a connection has none
// although they require it, grpc-go does not ask for metadata.
func (w *Watch) RequireTransportSecurity() bool {
	required := w.creds.RequireTransportSecurity()
	w.note(required, nil)
	return required
}

func (w *Watch) note(pending bool, md map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending, w.md = pending, md
}

// Failed reports whether an attempt that ended with an error of a code failed because of its
// credentials, so that grpc-go sent nothing. invalid reports whether metadata cannot be sent,
// which grpc-go checks after the credentials have returned it.
func (w *Watch) Failed(code codes.Code, invalid func(md map[string]string) bool) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pending || code == codes.Internal && len(w.md) > 0 && invalid(w.md)
}

// lastingWatch is the Watch of a Lasting.
type lastingWatch struct {
	*Watch

	lasting Lasting
}

// With returns credentials that are not watched: those of another attempt.
func (w *lastingWatch) With(others credentials.PerRPCCredentials) credentials.PerRPCCredentials {
	return w.lasting.With(others)
}

var _ Lasting = (*lastingWatch)(nil)
