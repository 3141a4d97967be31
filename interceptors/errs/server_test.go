package errs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// anError is an error with chosen methods.
type anError struct {
	is error
	as *stockError
}

func (e anError) Error() string        { return "secret of anError" }
func (e anError) Is(target error) bool { return e.is != nil && target == e.is }
func (e anError) As(target any) bool {
	p, ok := target.(**stockError)
	if ok && e.as != nil {
		*p = e.as
		return true
	}
	return false
}

// asError has only an As method.
type asError struct{ as *stockError }

func (asError) Error() string { return "secret of asError" }

func (e asError) As(target any) bool {
	p, ok := target.(**stockError)
	if ok {
		*p = e.as
	}
	return ok
}

// okError has the status OK, which errors cannot mean.
type okError struct{ error }

func (okError) GRPCStatus() *status.Status { return status.New(codes.OK, "") }
func (e okError) Unwrap() error            { return e.error }

// listError cannot be compared.
type listError []string

func (listError) Error() string { return "a list" }

func wrap(err error) error { return fmt.Errorf("secret at 10.0.0.7: %w", err) }

// The first error of the tree that has an entry, a status or a context error decides. Texts around it are not sent.
func TestWhatDecides(t *testing.T) {
	notFound := status.Error(codes.NotFound, "from a status")
	rejection := hauberk.Reject(codes.Internal, "OWN_REASON", "the rejection's text")
	rejection.Cause = errMissing
	for name, c := range map[string]struct {
		err          error
		code         codes.Code
		text, reason string
	}{
		"sentinel":               {errMissing, codes.NotFound, "item not found", "ITEM_NOT_FOUND"},
		"wrapped":                {wrap(wrap(errMissing)), codes.NotFound, "item not found", "ITEM_NOT_FOUND"},
		"joined first":           {errors.Join(errMissing, errBusy), codes.NotFound, "item not found", "ITEM_NOT_FOUND"},
		"joined":                 {errors.Join(errors.New("secret"), wrap(errBusy)), codes.Unavailable, "try again", "ITEM_LOCKED"},
		"two wrapped":            {fmt.Errorf("%w, %w", errBusy, notFound), codes.Unavailable, "try again", "ITEM_LOCKED"},
		"outer sentinel":         {wrap(errStale), codes.Aborted, "stale item: item not found", "ITEM_STALE"},
		"type":                   {wrap(&stockError{"hat", 2}), codes.FailedPrecondition, "2 of hat left", "OUT_OF_STOCK"},
		"type without fields":    {wrap(&closedError{}), codes.Unavailable, "shop is closed", "CLOSED"},
		"type over status":       {wrap(quotaError{3, notFound}), codes.ResourceExhausted, "quota of 3 exceeded", "QUOTA"},
		"type over rejection":    {quotaError{3, rejection}, codes.ResourceExhausted, "quota of 3 exceeded", "QUOTA"},
		"sentinel and rejection": {errors.Join(errBusy, rejection), codes.Unavailable, "try again", "ITEM_LOCKED"},
		"rejection and sentinel": {errors.Join(rejection, errBusy), codes.Internal, "the rejection's text", "OWN_REASON"},
		"type over context":      {quotaError{3, context.Canceled}, codes.ResourceExhausted, "quota of 3 exceeded", "QUOTA"},
		"Is method":              {wrap(anError{is: errMissing}), codes.NotFound, "item not found", "ITEM_NOT_FOUND"},
		"As method":              {wrap(anError{as: &stockError{"cap", 0}}), codes.FailedPrecondition, "0 of cap left", "OUT_OF_STOCK"},
		"status":                 {notFound, codes.NotFound, "from a status", ""},
		"wrapped status":         {wrap(notFound), codes.NotFound, "from a status", ""},
		"status first":           {errors.Join(notFound, errBusy), codes.NotFound, "from a status", ""},
		"rejection over cause":   {wrap(rejection), codes.Internal, "the rejection's text", "OWN_REASON"},
		"context":                {wrap(context.DeadlineExceeded), codes.DeadlineExceeded, "context deadline exceeded", ""},
		"cancelled":              {wrap(context.Canceled), codes.Canceled, "context canceled", ""},
		"context by Is":          {anError{is: context.Canceled}, codes.Canceled, "context canceled", ""},
		"deadline by Is":         {anError{is: context.DeadlineExceeded}, codes.DeadlineExceeded, "context deadline exceeded", ""},
		"As method alone":        {asError{&stockError{"cap", 0}}, codes.FailedPrecondition, "0 of cap left", "OUT_OF_STOCK"},
		"context before status":  {errors.Join(context.Canceled, notFound), codes.Canceled, "context canceled", ""},
		"status before context":  {errors.Join(notFound, context.Canceled), codes.NotFound, "from a status", ""},
		"context before entry":   {errors.Join(context.Canceled, errMissing), codes.Canceled, "context canceled", ""},
		"OK hides no entry":      {okError{errMissing}, codes.NotFound, "item not found", "ITEM_NOT_FOUND"},
		"OK hides no status":     {okError{notFound}, codes.NotFound, "from a status", ""},
		"unmapped":               {errors.New("secret"), codes.Unknown, "internal error (reference R)", errs.ReasonMasked},
		"OK alone":               {okError{errors.New("secret")}, codes.Unknown, "internal error (reference R)", errs.ReasonMasked},
		"not comparable":         {listError{"secret"}, codes.Unknown, "internal error (reference R)", errs.ReasonMasked},
		"value, not the pointer": {valueError{}, codes.Unknown, "internal error (reference R)", errs.ReasonMasked},
		"internal status":        {wrap(status.Error(codes.Internal, "secret")), codes.Internal, "internal error (reference R)", errs.ReasonMasked},
		"data loss":              {status.Error(codes.DataLoss, "secret"), codes.DataLoss, "internal error (reference R)", errs.ReasonMasked},
		"nil pointer of a type":  {(*stockError)(nil), codes.FailedPrecondition, "OUT_OF_STOCK", "OUT_OF_STOCK"},
	} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
			_, got := served(t, kind, errs.Config{}, c.err, errs.WithReference(fixedReference))
			st, ok := status.FromError(got)
			if !ok || st.Code() != c.code || st.Message() != c.text || hauberk.Reason(got) != c.reason {
				t.Errorf("%s, %v: %v %q, reason %q; want %v %q, %q", name, kind, st.Code(), st.Message(), hauberk.Reason(got), c.code, c.text, c.reason)
			}
			if c.reason != "" && c.reason != "OWN_REASON" && hauberk.ReasonDomain(got) != domain {
				t.Errorf("%s: the domain is %q", name, hauberk.ReasonDomain(got))
			}
			if strings.Contains(st.String(), "secret") {
				t.Errorf("%s: the status has a secret: %v", name, st)
			}
		}
	}
}

type valueError struct{}

func (valueError) Error() string { return "secret" }

func fixedReference(context.Context, *hauberk.Call, error) string { return "R" }

// The status of an entry has its details.
func TestDetails(t *testing.T) {
	_, got := served(t, hauberk.Unary, errs.Config{}, errBusy)
	retry := false
	for _, d := range status.Convert(got).Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			retry = r.GetRetryDelay().AsDuration() == 1e9
		}
	}
	if !retry {
		t.Errorf("%v has no RetryInfo of 1 s", status.Convert(got).Details())
	}
	_, got = served(t, hauberk.Unary, errs.Config{}, quotaError{Limit: 7})
	if limit := info(got).GetMetadata()["limit"]; limit != "7" {
		t.Errorf("the limit is %q; want 7", limit)
	}
}

// A masked error has a reference, which is in the log as well, with the text that clients do not receive.
func TestReferenceInTheLog(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		var log strings.Builder
		chain := hauberk.Must(hauberk.New(
			logging.New(logging.Config{}, logging.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
				logging.State("error_reference", errs.ReferenceKey)),
			errs.New(errs.Config{}, newTable()),
		))
		fail := func() error { return wrap(errors.New("no row 17")) }
		got := hauberktest.Direct{Kind: kind, Service: failing(fail)}.Server(chain)(context.Background())
		reference := errs.Reference(got)
		if !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(reference) {
			t.Errorf("%v: the reference is %q", kind, reference)
		}
		if want := "internal error (reference " + reference + ")"; status.Convert(got).Message() != want {
			t.Errorf("%v: %v; want %q", kind, got, want)
		}
		for _, want := range []string{"error_reference=" + reference, "no row 17", "10.0.0.7"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%v: the log has no %q: %s", kind, want, &log)
			}
		}
	}
}

// Panics behind recovery have the code and the error of recovery, and a reference.
func TestPanicOfTheHandler(t *testing.T) {
	var outcome error
	chain := hauberk.Must(hauberk.New(
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			outcome = next(ctx, call)
			return outcome
		}),
		recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler))),
		errs.New(errs.Config{}, newTable()),
	))
	fail := func() error { panic("secret") }
	got := hauberktest.Direct{Service: failing(fail)}.Server(chain)(context.Background())
	if status.Code(got) != codes.Internal || errs.Reference(got) == "" || !errors.Is(outcome, recovery.ErrPanic) {
		t.Errorf("%v, %v; want INTERNAL with a reference, and ErrPanic", got, outcome)
	}
}

// Mask and Unmapped are settings. An error without a status is masked also if no code is.
func TestMaskSettings(t *testing.T) {
	config := errs.Config{Mask: []codes.Code{}, Unmapped: codes.Internal, Message: "sorry"}
	internal := status.Error(codes.Internal, "the text")
	if _, got := served(t, hauberk.Unary, config, internal); status.Convert(got).Message() != "the text" {
		t.Errorf("%v; want the text", got)
	}
	_, got := served(t, hauberk.Unary, config, errors.New("secret"), errs.WithReference(func(context.Context, *hauberk.Call, error) string {
		return ""
	}))
	if st := status.Convert(got); st.Code() != codes.Internal || st.Message() != "sorry" || errs.Reference(got) != "" {
		t.Errorf("%v; want INTERNAL without a reference", got)
	}
	config.Mask = []codes.Code{codes.NotFound}
	if _, got := served(t, hauberk.Unary, config, status.Error(codes.NotFound, "secret")); status.Code(got) != codes.NotFound ||
		strings.Contains(got.Error(), "secret") {
		t.Errorf("%v; want a masked NOT_FOUND", got)
	}
	if _, got := served(t, hauberk.Unary, config, errMissing); status.Convert(got).Message() != "item not found" {
		t.Errorf("%v; want the text of the entry, which is not masked", got)
	}
	if _, got := served(t, hauberk.Unary, config, nil); got != nil {
		t.Errorf("%v; want success", got)
	}
}

// Texts are cut at the border of a character, those of rejections are not.
func TestMaxText(t *testing.T) {
	long := strings.Repeat("é", 600)
	for name, err := range map[string]error{
		"status": status.Error(codes.NotFound, long), "entry": &stockError{Item: long}, "invalid": &stockError{Item: strings.Repeat("\xff", 5000)},
	} {
		_, got := served(t, hauberk.Unary, errs.Config{}, err)
		text := status.Convert(got).Message()
		if len(text) > 1024 || !utf8.ValidString(text) || name != "invalid" && len(text) < 1020 {
			t.Errorf("%s: %d bytes, valid %t", name, len(text), utf8.ValidString(text))
		}
		if name != "invalid" && !strings.HasSuffix(text, "é…") {
			t.Errorf("%s: the text ends with %q", name, text[len(text)-8:])
		}
	}
	_, got := served(t, hauberk.Unary, errs.Config{MaxText: 16}, status.Error(codes.NotFound, "0123456789abcdef"))
	if text := status.Convert(got).Message(); text != "0123456789abcdef" {
		t.Errorf("%q was cut", text)
	}
	_, got = served(t, hauberk.Unary, errs.Config{}, hauberk.Reject(codes.NotFound, "LONG", long))
	if text := status.Convert(got).Message(); text != long {
		t.Errorf("a rejection's text has %d bytes; want %d", len(text), len(long))
	}
}

// Details that cannot be encoded cost neither the code nor the reason nor the text.
func TestLostDetails(t *testing.T) {
	fail := func(e *stockError) map[string]string {
		switch e.Item {
		case "panic":
			panic("boom")
		case "large":
			return map[string]string{"item": strings.Repeat("x", 5000)}
		default:
			return nil
		}
	}
	table := errs.NewTable(domain,
		errs.TypeWithMetadata(codes.FailedPrecondition, "OUT_OF_STOCK", fail, func(map[string]string) (*stockError, error) { return nil, nil }),
		errs.TypeWithDetail(codes.Aborted, "DETAIL", func(e quotaError) *errdetails.DebugInfo {
			if e.Limit == 0 {
				return nil
			}
			return &errdetails.DebugInfo{Detail: strings.Repeat("\xff", e.Limit)}
		}, func(*errdetails.DebugInfo) (quotaError, error) { return quotaError{}, nil }),
	)
	for name, c := range map[string]struct {
		err    error
		code   codes.Code
		reason string
	}{
		"panic":         {&stockError{Item: "panic"}, codes.FailedPrecondition, "OUT_OF_STOCK"},
		"too large":     {&stockError{Item: "large"}, codes.FailedPrecondition, "OUT_OF_STOCK"},
		"no detail":     {quotaError{Limit: 0}, codes.Aborted, "DETAIL"},
		"invalid UTF-8": {quotaError{Limit: 9}, codes.Aborted, "DETAIL"},
	} {
		var reported []error
		x := errs.New(errs.Config{}, table, errs.WithCodecErrors(func(_ context.Context, _ *hauberk.Call, err error) {
			reported = append(reported, err)
			panic("of the option")
		}))
		chain := hauberk.Must(hauberk.New(x))
		got := hauberktest.Direct{Service: failing(func() error { return wrap(c.err) })}.Server(chain)(context.Background())
		if status.Code(got) != c.code || hauberk.Reason(got) != c.reason || status.Convert(got).Message() != c.err.Error() {
			t.Errorf("%s: %v, reason %s; want %v, %s", name, got, hauberk.Reason(got), c.code, c.reason)
		}
		if panics := count(x, "errs_panics_total"); panics != 1 && name != "panic" || panics != 2 && name == "panic" {
			t.Errorf("%s: %v panics; want that of the option, and that of the codec", name, panics)
		}
		if len(reported) != 1 || !strings.Contains(reported[0].Error(), c.reason) || count(x, "errs_lost_details_total") != 1 {
			t.Errorf("%s: reported %v, counted %v; want one", name, reported, count(x, "errs_lost_details_total"))
		}
	}
}

func count(x *errs.Interceptor, name string) float64 {
	for _, m := range x.Measurements() {
		if m.Name == name {
			return m.Value
		}
	}
	return -1
}

// WithUnmapped is called for the errors that have no status, and for no others.
func TestUnmapped(t *testing.T) {
	var seen []error
	record := func(_ context.Context, call *hauberk.Call, err error) {
		if call.Method().FullName() != hauberktest.FullMethod(hauberk.Unary) {
			t.Error("the call is another")
		}
		seen = append(seen, err)
	}
	lost := wrap(errors.New("lost"))
	for _, err := range []error{errMissing, status.Error(codes.Internal, ""), context.Canceled, hauberk.Reject(codes.Unknown, "R", ""), lost} {
		_, _ = served(t, hauberk.Unary, errs.Config{}, err, errs.WithUnmapped(record))
	}
	if len(seen) != 1 || !errors.Is(seen[0], lost) {
		t.Errorf("%v; want %v", seen, lost)
	}
}

// A second interceptor leaves the status of the first one, also a masked one.
func TestTwice(t *testing.T) {
	x := errs.New(errs.Config{}, newTable())
	for _, err := range []error{errMissing, errors.New("secret")} {
		var inner error
		chain := hauberk.Must(hauberk.New(x, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			inner = next(ctx, call)
			return inner
		}), x))
		got := hauberktest.Direct{Service: failing(func() error { return err })}.Server(chain)(context.Background())
		if status.Convert(got).Message() != status.Convert(inner).Message() || errs.Reference(got) != errs.Reference(inner) {
			t.Errorf("%v; want %v", got, inner)
		}
	}
}

// ExposeErrors of a chain does not expose masked errors, and no texts around an error that decides.
func TestExposeErrors(t *testing.T) {
	for name, err := range map[string]error{
		"masked":        errors.New("secret"),
		"unknown code":  status.Error(999, "secret"),
		"status":        wrap(status.Error(codes.NotFound, "an item")),
		"rejection":     wrap(hauberk.Reject(codes.NotFound, "NO_ITEM", "an item")),
		"entry":         wrap(errMissing),
		"context error": wrap(context.Canceled),
	} {
		for _, expose := range []bool{false, true} {
			chain := hauberk.Must(hauberk.Config{ExposeErrors: expose}.New(errs.New(errs.Config{}, newTable())))
			got := hauberktest.Direct{Service: failing(func() error { return err })}.Server(chain)(context.Background())
			masked := name == "masked" || name == "unknown code"
			if strings.Contains(got.Error(), "secret") || (errs.Reference(got) != "") != masked {
				t.Errorf("%s, ExposeErrors %t: %v", name, expose, got)
			}
		}
	}
}

// A long reference is cut.
func TestLongReference(t *testing.T) {
	_, got := served(t, hauberk.Unary, errs.Config{}, errors.New("secret"), errs.WithReference(func(context.Context, *hauberk.Call, error) string {
		return "\xff" + strings.Repeat("é", 500)
	}))
	if r := errs.Reference(got); len(r) > 128 || len(r) < 120 || !strings.HasSuffix(r, "é…") || !utf8.ValidString(r) {
		t.Errorf("%q has %d bytes; want at most 128", r, len(r))
	}
}
