// Package errs turns the errors of handlers into statuses with a reason, and turns these statuses into the same
// errors for the application on the client.
//
// One [Table] has the errors of a service. Server and client use the same one:
//
//	var Errors = errs.NewTable("shop.example",
//		errs.Sentinel(ErrNotFound, codes.NotFound, "ITEM_NOT_FOUND"),
//		errs.TypeWithDetail(codes.FailedPrecondition, "OUT_OF_STOCK", encodeStock, decodeStock),
//	)
//
//	server, err := hauberk.New(logging.New(logging.Config{}), errs.New(errs.Config{}, Errors))
//	client, err := hauberk.New(errs.New(errs.Config{}, Errors))
//
// The handler returns fmt.Errorf("load item %d: %w", id, ErrNotFound). The client receives NOT_FOUND with a
// google.rpc.ErrorInfo. The application finds errors.Is(err, ErrNotFound), and status.Code(err) as ever. This is so
// for calls of every kind, and for each operation of a stream that returns a status.
//
// # What decides the status, on a server
//
// An error is a tree: errors wrap others, or join several. The tree is searched as errors.Is does, from the
// outermost error, and from left to right in a join. The first error with one of the following decides:
//
//  1. an entry of the table: the code, reason, text and details of the entry;
//  2. the mark of a call to another service (see below);
//  3. a status, as errors of package status and a [hauberk.Rejection] have: that status. So rejections, panics
//     behind package recovery, and errors of inner interceptors keep theirs;
//  4. context.Canceled or context.DeadlineExceeded: CANCELLED or DEADLINE_EXCEEDED.
//
// So an entry for a type wins over the status or the context error that an error of the type wraps. An error with
// none of these has the code [Config].Unmapped, UNKNOWN by default, and is masked.
//
// # Texts
//
// The status of an entry has the text of the sentinel, or of the error of the type: not the texts around it, which
// may have secrets. [WithMessage] sets a fixed text, and [WithWholeText] sends the whole text of the handler's
// error. All texts are cut to [Config].MaxText bytes, except those of rejections.
//
// A masked error has a fixed text with a reference: "internal error (reference 4f0c1d88a2b3e957)". Errors without a
// status are masked, and statuses with a code of [Config].Mask, by default UNKNOWN, INTERNAL and DATA_LOSS, unless
// they are a rejection or of an entry. The masked status has the reason [ReasonMasked], the reference in its
// metadata ([Reference]), and no other details. Outer interceptors log the error with its whole text, and the
// reference from the state:
//
//	logging.New(logging.Config{}, logging.State("error_reference", errs.ReferenceKey))
//
// # Errors of other services
//
// A service A that calls B, and has this interceptor on its client of B, does not pass on errors of B as its own.
// B's text, reason and details stay in A. By default [Hide] applies: UNAVAILABLE, DEADLINE_EXCEEDED and CANCELLED keep
// their code, every other code becomes INTERNAL, and the status has the reason [ReasonDependency] and a reference.
// [Config].Remote may have [Translate], with which the errors of B that are in A's table are A's, or [PassOn].
// A handler decides for one error by returning a different one, such as ErrNotFound, or by [Pass]. A rejection by an
// interceptor of A's client, such as of an open circuit breaker, was not made by B and is unchanged. So are errors of
// clients without this interceptor: their statuses cannot be distinguished from those that the handler makes.
//
// # What decides the error, on a client
//
// A status with a google.rpc.ErrorInfo whose domain is the table's, and whose reason is that of an entry, is the
// error of the entry. If the detail of an error's type is missing, or its codec fails, the application
// receives the status without the type. All other errors keep their status, and have the mark of a call to
// another service ([IsRemote]). Rejections by interceptors of the client are unchanged.
//
// # Failures
//
// [hauberk.New] reports everything that is wrong with a table: errors and reasons that it has twice, reasons of
// another form, types that cannot be encoded, and codecs that panic for an empty value. While calls run, a codec that
// panics or fails, details that cannot be encoded, and details of more than [Config].MaxDetails bytes cost the
// details only. The client still receives code, reason and text. [Interceptor.Measurements] has their numbers, and
// [WithCodecErrors] reports each. An error that wraps itself is masked: the chain has replaced it by one with
// [hauberk.ErrEndless].
//
// # Place
//
// On a server, place it inside of all interceptors that look at the outcome of the handler: only your own run inside
// of it, and return errors as handlers do. So logs, metrics, limits, caches and idempotency have the code that the
// client receives. [hauberk.Chain.Lint] reports another place. It does not see errors of interceptors outside of it.
//
// On a client it may be anywhere. Outside of retry and hedge it decodes once for a call. Inside, the interceptors
// there find the errors as well. Two of them, with different tables, may be in one chain of a client.
//
// # Tests
//
// [WithUnmapped] reports errors that have no status, and the measurement errs_unmapped_total counts them. What handlers
// return is not known before they run, so that [hauberk.Chain.Lint] cannot report it. In tests, hauberktest.Unmapped
// fails the test for such errors:
//
//	errs.New(errs.Config{}, Errors, errs.WithUnmapped(hauberktest.Unmapped(t)))
package errs
