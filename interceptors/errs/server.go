package errs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
)

// translatedError is an error with the status that an interceptor of a server has given it.
type translatedError struct {
	status *status.Status
	cause  error
}

func (e *translatedError) Error() string              { return e.status.Err().Error() }
func (e *translatedError) GRPCStatus() *status.Status { return e.status }
func (e *translatedError) Unwrap() error              { return e.cause }

// passedError is an error whose status is passed on.
type passedError struct{ cause error }

func (e *passedError) Error() string              { return e.cause.Error() }
func (e *passedError) GRPCStatus() *status.Status { return hauberk.StatusOf(e.cause) }
func (e *passedError) Unwrap() error              { return e.cause }

// Pass marks an error whose status a server sends unchanged, with its text and details: that of a call to another
// service, in a proxy. It is not masked: an error without a status is sent as UNKNOWN with its text. Pass returns nil
// for nil.
func Pass(err error) error {
	if err == nil {
		return nil
	}
	return &passedError{err}
}

// returned gives an error of a handler its status. Methods of the error run in it, and may panic.
func (x *Interceptor) returned(ctx context.Context, call *hauberk.Call, err error) error {
	var out error
	failure := x.contain("a method of the error", func() error {
		out = x.translated(ctx, call, err)
		return nil
	})
	if failure != nil {
		return x.withoutStatus(ctx, call, err)
	}
	return out
}

func (x *Interceptor) translated(ctx context.Context, call *hauberk.Call, err error) error {
	f, ok := x.table.find(err)
	switch {
	case !ok:
		return x.withoutStatus(ctx, call, err)
	case f.settled:
		return err
	case f.entry != nil:
		return x.encoded(ctx, call, f, err)
	case f.remote != nil:
		return x.fromRemote(ctx, call, f.remote, err)
	case f.passed != nil:
		return &translatedError{f.passed.GRPCStatus(), err}
	case f.context:
		return &translatedError{f.status, err}
	case hauberk.RejectionOf(f.carrier) != nil:
		return keep(err, f.status)
	case x.masks(f.status.Code()):
		return x.masked(ctx, call, err, f.status.Code(), ReasonMasked)
	}
	st := bounded(f.status, x.config.MaxText)
	if _, itself := err.(carrier); itself { //nolint:errorlint // not one that it wraps
		return keep(err, st)
	}
	return &translatedError{st, err} // hauberk.Config.ExposeErrors would send the texts around the status
}

// withoutStatus gives a status to an error that has none.
func (x *Interceptor) withoutStatus(ctx context.Context, call *hauberk.Call, err error) error {
	x.counts.unmapped.Add(1)
	x.report(ctx, call, err, x.unmapped)
	return x.masked(ctx, call, err, x.config.Unmapped, ReasonMasked)
}

// masks reports whether statuses with a code are masked. Clients treat codes that gRPC does not define as UNKNOWN.
func (x *Interceptor) masks(code codes.Code) bool {
	if code > codes.Unauthenticated {
		code = codes.Unknown
	}
	return slices.Contains(x.config.Mask, code)
}

// keep returns an error with a status, which it may have already.
func keep(err error, st *status.Status) error {
	if own := hauberk.StatusOf(err); own.Code() == st.Code() && own.Message() == st.Message() {
		return err
	}
	return &translatedError{st, err}
}

// bounded returns a status with at most so many bytes of text.
func bounded(st *status.Status, most int) *status.Status {
	if len(st.Message()) <= most {
		return st
	}
	p := st.Proto()
	p.Message = cut(p.GetMessage(), most)
	return status.FromProto(p)
}

// fromRemote gives the error of a call to another service its status.
func (x *Interceptor) fromRemote(ctx context.Context, call *hauberk.Call, remote *remoteError, err error) error {
	st := remote.GRPCStatus()
	switch {
	case x.config.Remote == PassOn:
		return &translatedError{st, err}
	case x.config.Remote == Translate && remote.decoded != nil:
		if f, ok := x.table.find(remote.decoded); ok && f.entry != nil {
			return x.encoded(ctx, call, f, remote.decoded)
		}
	}
	switch code := st.Code(); code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return x.masked(ctx, call, err, code, ReasonDependency)
	default:
		return x.masked(ctx, call, err, codes.Internal, ReasonDependency)
	}
}

// masked returns an error with a fixed text and a reference.
func (x *Interceptor) masked(ctx context.Context, call *hauberk.Call, err error, code codes.Code, reason string) error {
	x.counts.masked.Add(1)
	reference := ""
	_ = x.contain("the function of WithReference", func() error {
		reference = cut(x.reference(ctx, call, err), maxReference)
		return nil
	})
	r := hauberk.Rejection{Code: code, Reason: reason, Domain: x.table.domain, Message: x.fixed(code)}
	if reference != "" {
		ReferenceKey.Set(call, reference)
		r.Message += " (reference " + reference + ")"
		r.Metadata = map[string]string{metadataReference: reference}
	}
	return &translatedError{r.GRPCStatus(), err}
}

const (
	maxReference      = 128 // bytes
	metadataReference = "reference"
)

// fixed returns the text of a masked error.
func (x *Interceptor) fixed(code codes.Code) string {
	switch code {
	case codes.Unavailable:
		return "unavailable"
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded.Error()
	case codes.Canceled:
		return context.Canceled.Error()
	default:
		return x.config.Message
	}
}

// encoded returns an error with the status of its entry.
func (x *Interceptor) encoded(ctx context.Context, call *hauberk.Call, f found, whole error) error {
	st, failure := f.entry.encode(f.value, whole, x.config.MaxText, x.config.MaxDetails)
	if failure != nil {
		x.lost(ctx, call, failure)
	}
	return &translatedError{st, whole}
}

// lost counts and reports details that were lost.
func (x *Interceptor) lost(ctx context.Context, call *hauberk.Call, err error) {
	x.counts.lost.Add(1)
	if _, ok := errors.AsType[*panicError](err); ok {
		x.counts.panics.Add(1)
	}
	x.report(ctx, call, err, x.codecErrors)
}

// encode returns the status of an error, which value is in the tree of. If its details cannot be sent, the
// status is without them, and failure says why.
func (e *entry) encode(value, whole error, maxText, maxDetails int) (st *status.Status, failure error) {
	text, failed := e.text(value, whole)
	bare := hauberk.Rejection{
		Code: e.code, Reason: e.reason, Domain: e.domain, Message: cut(text, maxText), RetryAfter: e.retryAfter,
	}
	full := bare
	full.Details = slices.Clip(e.details)
	if e.codec != nil {
		if err := contained("encode", func() error { return e.codec.encode(value, &full) }); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	st = full.GRPCStatus()
	size, more := proto.Size(st.Proto())-len(bare.Message), len(full.Metadata)+len(full.Details) > 0
	if more && size > maxDetails {
		failed = errors.Join(failed, fmt.Errorf("the details have %d bytes; want at most %d", size, maxDetails))
		st = bare.GRPCStatus()
	}
	if failed != nil {
		failure = fmt.Errorf("errs: %s: %w", e.reason, failed)
	}
	return st, failure
}

// text returns the text of the status.
func (e *entry) text(value, whole error) (text string, failure error) {
	switch {
	case e.message != "":
		return e.message, nil
	case e.wholeText:
		value = whole
	}
	failure = contained("the Error method", func() error {
		text = value.Error()
		return nil
	})
	if failure != nil {
		return e.reason, failure
	}
	return text, nil
}
