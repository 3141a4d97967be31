package errs_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
)

// fieldsError has fields, and no codec.
type fieldsError struct{ Text string }

func (*fieldsError) Error() string { return "" }

type textError string

func (e textError) Error() string { return string(e) }

// messageError is an error that is a protobuf message.
type messageError struct{ *errdetails.ErrorInfo }

func (messageError) Error() string { return "" }

type notFounder interface {
	error
	NotFound() string
}

// New reports everything that is wrong with a table at once.
func TestBadTable(t *testing.T) {
	invalid := &testpb.Response{Text: "\xff"}
	stock := func(opts ...errs.EntryOption) errs.Entry {
		return errs.TypeWithDetail(codes.NotFound, "STOCK", stockDetail, stockOf, opts...)
	}
	metadata := func(encode func(*stockError) map[string]string, decode func(map[string]string) (*stockError, error)) errs.Entry {
		return errs.TypeWithMetadata(codes.NotFound, "STOCK", encode, decode)
	}
	decode := func(map[string]string) (*stockError, error) { return nil, errors.New("") }
	for name, c := range map[string]struct {
		table *errs.Table
		want  []string
	}{
		"nil":    {nil, []string{"make it with errs.NewTable"}},
		"zero":   {new(errs.Table), []string{"a zero errs.Table"}},
		"domain": {errs.NewTable(""), []string{`the domain is ""; want 1 to 253`}},
		"space":  {errs.NewTable("a b"), []string{`the domain is "a b"`}},
		"all at once": {errs.NewTable(domain,
			errs.Sentinel(errMissing, codes.OK, "lower"), errs.Sentinel(errBusy, 99, strings.Repeat("A", 64)), errs.Entry{},
			errs.Sentinel(errMissing, codes.NotFound, "A"), errs.Sentinel(errStale, codes.NotFound, "A")), []string{
			`errs.NewTable("shop.example")`, `entry 1, lower for "item not found": the code is OK`, `the reason is "lower"; want UPPER_SNAKE_CASE`,
			"entry 2, ", "the code is Code(99)", "entry 3 is empty", "entry 4, A", "the sentinel is there twice",
			`entry 5, A for "stale item: item not found": the reason is there twice`, "want its own",
		}},
		"sentinels": {errs.NewTable(domain,
			errs.Sentinel(nil, codes.NotFound, "A"), errs.Sentinel(listError{"a"}, codes.NotFound, "B"), errs.Sentinel(io.EOF, codes.NotFound, "C"),
			errs.Sentinel(context.Canceled, codes.NotFound, "D"), errs.Sentinel(context.DeadlineExceeded, codes.NotFound, "E")), []string{
			"entry 1, A: the sentinel is nil", "entry 2, B", "cannot be compared", "io.EOF is how streams end well", "entry 4, D", "entry 5, E",
			"context errors keep their codes",
		}},
		"reserved": {errs.NewTable(domain, errs.Sentinel(errMissing, codes.NotFound, errs.ReasonMasked),
			errs.Sentinel(errBusy, codes.NotFound, errs.ReasonDependency), errs.Sentinel(errStale, codes.NotFound, hauberk.ReasonMalformed)), []string{
			"the reason INTERNAL_ERROR is reserved", "DEPENDENCY_FAILED is", "MALFORMED_REASON is",
		}},
		"types": {errs.NewTable(domain, errs.Type[*fieldsError](codes.NotFound, "A"), errs.Type[textError](codes.NotFound, "B"),
			errs.Type[notFounder](codes.NotFound, "C"), errs.Type[*closedError](codes.NotFound, "D"), errs.Type[*closedError](codes.NotFound, "E"),
			errs.Type[messageError](codes.NotFound, "F")), []string{
			"A for the type *errs_test.fieldsError: *errs_test.fieldsError cannot be encoded without a codec", "textError cannot be encoded",
			"notFounder cannot be encoded", "entry 5, E for the type *errs_test.closedError: the type is there twice",
			"the detail is not a generated message",
		}},
		"nil codec": {errs.NewTable(domain, errs.TypeWithDetail[*stockError](codes.NotFound, "A", nil, stockOf),
			errs.TypeWithMetadata[quotaError](codes.NotFound, "B", quotaMetadata, nil)), []string{
			"entry 1, A for the type *errs_test.stockError: encode or decode is nil", "entry 2, B for the type errs_test.quotaError: encode or decode is nil",
		}},
		"not generated": {errs.NewTable(domain, errs.TypeWithDetail(codes.NotFound, "A",
			func(*stockError) proto.Message { return nil }, func(proto.Message) (*stockError, error) { return nil, errors.New("") }),
			errs.TypeWithDetail(codes.NotFound, "B", func(quotaError) *dynamicpb.Message { return nil },
				func(*dynamicpb.Message) (quotaError, error) { return quotaError{}, nil })), []string{
			"entry 1, A for the type *errs_test.stockError: the detail is not a generated message", "entry 2, B for the type errs_test.quotaError: the detail is",
		}},
		"ErrorInfo": {errs.NewTable(domain, errs.TypeWithDetail(codes.NotFound, "A",
			func(*stockError) *errdetails.ErrorInfo { return nil }, func(*errdetails.ErrorInfo) (*stockError, error) { return nil, errors.New("") })), []string{
			"the detail is a google.rpc.ErrorInfo, which the table makes",
		}},
		"panics": {errs.NewTable(domain, metadata(func(*stockError) map[string]string { panic("of encode") },
			func(map[string]string) (*stockError, error) { panic("of decode") })), []string{
			"encode panics: of encode, for an empty *errs_test.stockError", "decode panics: of decode, for an empty detail",
		}},
		"options": {errs.NewTable(domain, errs.Sentinel(errMissing, codes.NotFound, "A", nil, errs.WithMessage(""), errs.WithRetryAfter(-1),
			errs.WithDetails(nil, invalid, (*testpb.Response)(nil), new(errdetails.ErrorInfo))),
			stock(errs.WithDetails(new(testpb.Request)), errs.WithMessage("a"), errs.WithWholeText())), []string{
			"option 1 of the entry is nil", "WithMessage was given an empty text", "WithRetryAfter was given -1ns", "detail 1 of WithDetails is nil",
			"detail 2 of WithDetails, a hauberk.test.v1.Response, cannot be encoded", "detail 3 of WithDetails is nil",
			"WithDetails has a google.rpc.ErrorInfo", "WithDetails has a hauberk.test.v1.Request, which is the detail of the type",
			"it has WithMessage and WithWholeText",
		}},
		"merge": {errs.Merge(newTable(), errs.NewTable("other.example", errs.Sentinel(errMissing, codes.NotFound, "OTHER")), nil,
			errs.NewTable(domain, errs.Sentinel(io.ErrNoProgress, codes.NotFound, "QUOTA")), errs.NewTable("")), []string{
			`errs.Merge: table 2, OTHER for "item not found": the sentinel is there twice`, "table 3: the table is nil", "table 4, QUOTA", "the reason is there twice",
			"table 5: errs.NewTable", "the domain is",
		}},
		"merge of none": {errs.Merge(), []string{"errs.Merge was given no table"}},
		"interfaces": {errs.NewTable(domain,
			errs.TypeWithMetadata(codes.NotFound, "A", func(notFounder) map[string]string { return nil }, func(map[string]string) (notFounder, error) { return nil, errors.New("") }),
			errs.TypeWithMetadata(codes.NotFound, "B", func(notFounder) map[string]string { return nil }, func(map[string]string) (notFounder, error) { return nil, errors.New("") })), []string{
			"entry 2, B for the type errs_test.notFounder: the type is there twice",
		}},
		"fine": {errs.NewTable(domain, metadata(func(*stockError) map[string]string { return nil }, decode)), nil},
	} {
		_, err := hauberk.New(errs.New(errs.Config{}, c.table))
		if c.want == nil && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: want an error with %q in\n%v", name, want, err)
			}
		}
		if c.want != nil && c.table != nil {
			if _, ok := c.table.ToStatus(errMissing); ok {
				t.Errorf("%s: a table with errors is used", name)
			}
			if err := c.table.FromStatus(status.New(codes.NotFound, "")); status.Code(err) != codes.NotFound {
				t.Errorf("%s: %v; want the status", name, err)
			}
		}
	}
}

// New reports everything that is wrong with the configuration at once.
func TestBadConfig(t *testing.T) {
	_, err := hauberk.New(errs.New(errs.Config{
		Unmapped: 99, Mask: []codes.Code{codes.OK, 17}, Message: strings.Repeat("x", 257), Remote: 9, MaxText: 15, MaxDetails: -1,
	}, nil, nil, errs.WithReference(nil), errs.WithUnmapped(nil), errs.WithCodecErrors(nil)))
	for _, want := range []string{
		"Unmapped is Code(99)", "Mask has OK", "Mask has Code(17)", "Message is", "want at most 256 bytes", "Remote is remote 9",
		"MaxText is 15; want 16 to 4096", "MaxDetails is -1", "option 1 of New is nil", "WithReference was given a nil", "WithUnmapped was given a nil",
		"WithCodecErrors was given a nil", "the table is nil",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q in\n%v", want, err)
		}
	}
	if _, err := hauberk.New(new(errs.Interceptor)); err == nil || !strings.Contains(err.Error(), "make it with errs.New") {
		t.Error(err)
	}
}

// missingError is a notFounder.
type missingError string

func (e missingError) Error() string    { return string(e) + " is missing" }
func (e missingError) NotFound() string { return string(e) }

// A type may be an interface: the client receives what its codec makes.
func TestInterfaceType(t *testing.T) {
	table := errs.NewTable(domain, errs.TypeWithMetadata(codes.NotFound, "MISSING",
		func(e notFounder) map[string]string { return map[string]string{"name": e.NotFound()} },
		func(m map[string]string) (notFounder, error) { return missingError(m["name"]), nil }))
	st, ok := table.ToStatus(wrap(missingError("hat")))
	if !ok || st.Message() != "hat is missing" {
		t.Errorf("%v, %t", st, ok)
	}
	if e, ok := errors.AsType[notFounder](table.FromStatus(st)); !ok || e.NotFound() != "hat" {
		t.Errorf("%v, %t", e, ok)
	}
}

// WithWholeText sends the texts around the error, and Entries lists what is in the table.
func TestEntries(t *testing.T) {
	table := errs.NewTable(domain, errs.Sentinel(errMissing, codes.NotFound, "MISSING", errs.WithWholeText()), errs.Type[*closedError](codes.Unavailable, "CLOSED"))
	if st, _ := table.ToStatus(wrap(errMissing)); st.Message() != "secret at 10.0.0.7: item not found" {
		t.Error(st)
	}
	if _, ok := table.ToStatus(errors.Join(status.Error(codes.Aborted, ""), errMissing)); ok {
		t.Error("a status decides, and the table has a status for it")
	}
	want := []errs.Description{{domain, "MISSING", codes.NotFound, "item not found"}, {domain, "CLOSED", codes.Unavailable, "*errs_test.closedError"}}
	if got := table.Entries(); !slices.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
	explained, err := hauberk.Must(hauberk.New(errs.New(errs.Config{}, table))).Explain("/shop.v1.Cart/Get")
	if err != nil || !strings.Contains(explained.String(), `errs.NewTable("shop.example")`) {
		t.Error(explained, err)
	}
	for r, want := range map[errs.Remote]string{errs.Hide: "hide", errs.Translate: "translate", errs.PassOn: "pass on", 7: "remote 7"} {
		if r.String() != want {
			t.Errorf("%q; want %q", r, want)
		}
	}
}
