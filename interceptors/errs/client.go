package errs

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/errtree"
)

// remoteError is the error of a call, for the application on the client.
type remoteError struct {
	err     error // with the status
	decoded error // of the table; nil if it has none
}

func (e *remoteError) Error() string              { return e.err.Error() }
func (e *remoteError) GRPCStatus() *status.Status { return hauberk.StatusOf(e.err) }

// Unwrap returns the error of the table first, so that errors.As finds its type before those of package status.
func (e *remoteError) Unwrap() []error {
	if e.decoded == nil {
		return []error{e.err}
	}
	return []error{e.decoded, e.err}
}

// IsRemote reports whether an error is that of a call through the interceptor of a client: a status of the peer or
// of the transport, not a rejection by another interceptor of the client.
func IsRemote(err error) bool {
	_, ok := errors.AsType[*remoteError](err)
	return ok
}

// Reference returns the reference of a masked error, on a client and on the server, or "".
func Reference(err error) string {
	if reason := hauberk.Reason(err); reason != ReasonMasked && reason != ReasonDependency {
		return ""
	}
	info := infoOf(hauberk.StatusOf(err).Proto())
	return info.GetMetadata()[metadataReference]
}

// received gives the application the error of a status.
func (x *Interceptor) received(ctx context.Context, call *hauberk.Call, err error) error {
	var out error
	failure := x.contain("a method of the error", func() error {
		out = x.decoded(ctx, call, err)
		return nil
	})
	if failure != nil {
		return err
	}
	return out
}

// decoded returns an error with that of its status.
func (x *Interceptor) decoded(ctx context.Context, call *hauberk.Call, err error) error {
	if _, local := errors.AsType[*hauberk.Rejection](err); local || errors.Is(err, hauberk.ErrSuperseded) {
		return err
	}
	if _, ok := errors.AsType[carrier](err); !ok {
		return err // of an interceptor of the client
	}
	remote, again := errors.AsType[*remoteError](err)
	if again && remote.decoded != nil {
		return err
	}
	decoded, failure := x.table.decode(hauberk.StatusOf(err))
	switch {
	case failure != nil:
		x.lost(ctx, call, failure)
	case again && decoded == nil:
		return err // an inner interceptor has the mark
	}
	return &remoteError{err, decoded}
}

// decode returns the error of a status, or nil if the table has none.
func (t *Table) decode(st *status.Status) (decoded, failure error) {
	p := st.Proto()
	info := infoOf(p)
	e := t.reasons[reasonKey{info.GetDomain(), info.GetReason()}]
	switch {
	case e == nil:
		return nil, nil
	case e.codec == nil:
		return e.sentinel, nil
	}
	failure = contained("decode", func() error {
		var err error
		decoded, err = e.codec.decode(info.GetMetadata(), p.GetDetails())
		if !errtree.Finite(decoded) {
			return errtree.Bounded(decoded)
		}
		return err
	})
	if failure != nil {
		return nil, fmt.Errorf("errs: %s: %w", e.reason, failure)
	}
	return decoded, nil
}

// infoOf returns the first ErrorInfo of a status, or nil.
func infoOf(p *spb.Status) *errdetails.ErrorInfo {
	info := new(errdetails.ErrorInfo)
	for _, d := range p.GetDetails() {
		if d.MessageIs(info) {
			if d.UnmarshalTo(info) != nil {
				return nil
			}
			return info
		}
	}
	return nil
}

// ToStatus returns the status of an error that has an entry, without an interceptor: for the items of a response that
// has a google.rpc.Status for each. It searches the tree of the error as the interceptor does, and returns false if
// something other than an entry decides. Texts and details have the default limits. Details that cannot be encoded
// are left out. Safe for concurrent use.
func (t *Table) ToStatus(err error) (st *status.Status, ok bool) {
	if t.Err() != nil {
		return nil, false
	}
	failure := contained("a method of the error", func() error {
		if !errtree.Finite(err) {
			return errtree.Bounded(err)
		}
		var f found
		if f, ok = t.find(err); ok && f.entry != nil {
			st, _ = f.entry.encode(f.value, err, DefaultMaxText, DefaultMaxDetails)
		}
		return nil
	})
	return st, failure == nil && st != nil
}

// FromStatus returns the error of a status, as the application gets it on a client, and nil for OK. Safe for
// concurrent use.
func (t *Table) FromStatus(st *status.Status) error {
	err := st.Err()
	if err == nil || t.Err() != nil {
		return err
	}
	decoded, _ := t.decode(st)
	return &remoteError{err, decoded}
}
