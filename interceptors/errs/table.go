package errs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/errtree"
)

// Table has the errors of a service, with their statuses. Make it with [NewTable]. It does not change, and
// servers and clients may use it concurrently.
type Table struct {
	domain  string
	entries []*entry
	// Entries are found by these. The lists are for errors with an Is or an As method, and for interfaces.
	sentinels  map[error]*entry
	types      map[reflect.Type]*entry
	interfaces []*entry
	reasons    map[reasonKey]*entry
	err        error
}

// reasonKey identifies the error of a status.
type reasonKey struct{ domain, reason string }

// NewTable returns a table of errors. domain is that of their google.rpc.ErrorInfo: the registered name of the
// service or product, such as "shop.example". Clients decode only the reasons of this domain.
//
// [Table.Err] returns everything that is wrong with the table, and hauberk.New reports it.
func NewTable(domain string, entries ...Entry) *Table {
	t := emptyTable(domain)
	var errs []error
	if !isDomain(domain) {
		errs = append(errs, fmt.Errorf("the domain is %q; want 1 to 253 printable characters without spaces, "+
			"such as \"shop.example\"", domain))
	}
	for i, given := range entries {
		if given.of == nil {
			errs = append(errs, fmt.Errorf("entry %d is empty; make it with Sentinel, Type, TypeWithDetail or "+
				"TypeWithMetadata", i+1))
			continue
		}
		e := *given.of
		e.domain, e.errs = domain, slices.Clone(e.errs)
		e.check()
		t.add(&e)
		for _, err := range e.errs {
			errs = append(errs, fmt.Errorf("entry %d, %s: %w", i+1, e.title(), err))
		}
	}
	if t.err = errors.Join(errs...); t.err != nil {
		t.err = fmt.Errorf("errs.NewTable(%q): %w", domain, t.err)
	}
	return t
}

func emptyTable(domain string) *Table {
	return &Table{
		domain: domain, sentinels: make(map[error]*entry), types: make(map[reflect.Type]*entry),
		reasons: make(map[reasonKey]*entry),
	}
}

// Merge returns a table with the entries of several, each with the domain of its table: for a server with several
// services, or for a client of several. Masked errors have the domain of the first table. [Table.Err] returns
// what is wrong with the tables, and the errors that more than one of them has.
func Merge(tables ...*Table) *Table {
	if len(tables) == 0 {
		return &Table{err: errors.New("errs.Merge was given no table")}
	}
	merged := emptyTable("")
	var errs []error
	for i, t := range tables {
		if err := t.Err(); err != nil {
			errs = append(errs, fmt.Errorf("table %d: %w", i+1, err))
			continue
		}
		if merged.domain == "" {
			merged.domain = t.domain
		}
		for _, given := range t.entries {
			e := *given
			merged.add(&e)
			for _, err := range e.errs {
				errs = append(errs, fmt.Errorf("table %d, %s: %w", i+1, e.title(), err))
			}
		}
	}
	if merged.err = errors.Join(errs...); merged.err != nil {
		merged.err = fmt.Errorf("errs.Merge: %w", merged.err)
	}
	return merged
}

// maxDomain is the greatest length of a domain.
const maxDomain = 253

func isDomain(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return text != "" && len(text) <= maxDomain
}

// add adds an entry, and notes in it what another one has already.
func (t *Table) add(e *entry) {
	key := reasonKey{e.domain, e.reason}
	if other := t.reasons[key]; other != nil {
		e.failf("the reason is there twice: for each of them want its own, not that of %s", other.title())
	}
	t.reasons[key] = e
	t.entries = append(t.entries, e)
	switch {
	case e.codec != nil && e.codec.typ().Kind() == reflect.Interface:
		if slices.ContainsFunc(t.interfaces, func(o *entry) bool { return o.codec.typ() == e.codec.typ() }) {
			e.failf("the type is there twice")
		}
		t.interfaces = append(t.interfaces, e)
	case e.codec != nil:
		if t.types[e.codec.typ()] != nil {
			e.failf("the type is there twice")
		}
		t.types[e.codec.typ()] = e
	case e.sentinel != nil && reflect.ValueOf(e.sentinel).Comparable():
		if t.sentinels[e.sentinel] != nil {
			e.failf("the sentinel is there twice")
		}
		t.sentinels[e.sentinel] = e
	}
}

// checkSentinel notes what is wrong with the sentinel.
func (e *entry) checkSentinel() {
	switch s := e.sentinel; {
	case s == nil:
		e.failf("the sentinel is nil")
	case !reflect.ValueOf(s).Comparable():
		e.failf("a %T cannot be compared, so that errors.Is does not find it; use a type", s)
	case s == io.EOF:
		e.failf("io.EOF is how streams end well; want your own error, which may wrap it")
	case !errtree.Finite(s):
		e.failf("the sentinel wraps itself, so that errors.Is does not return; want one with an end")
	case s == context.Canceled, s == context.DeadlineExceeded: //nolint:errorlint // as above
		e.failf("context errors keep their codes; want your own error, which may wrap it")
	}
}

// title names the entry in errors.
func (e *entry) title() string {
	switch {
	case e.codec != nil:
		return fmt.Sprintf("%s for the type %v", e.reason, e.codec.typ())
	case e.sentinel != nil:
		text := ""
		if !errtree.Finite(e.sentinel) || contained("", func() error { text = e.sentinel.Error(); return nil }) != nil {
			text = fmt.Sprintf("%T", e.sentinel)
		}
		return fmt.Sprintf("%s for %q", e.reason, text)
	default:
		return e.reason
	}
}

// Err returns everything that is wrong with the table, or nil.
func (t *Table) Err() error {
	switch {
	case t == nil:
		return errors.New("the table is nil; make it with errs.NewTable")
	case t.reasons == nil && t.err == nil:
		return errors.New("a zero errs.Table; make it with errs.NewTable")
	default:
		return t.err
	}
}

// Description describes an entry of a table.
type Description struct {
	Domain string     // in the google.rpc.ErrorInfo
	Reason string     // as well
	Code   codes.Code // of the status
	Error  string     // the text of the sentinel, or the name of the type
}

// Entries describes the entries in their order, for documentation and for tests with a golden file. The caller
// owns the result.
func (t *Table) Entries() []Description {
	all := make([]Description, 0, len(t.entries))
	for _, e := range t.entries {
		d := Description{Domain: e.domain, Reason: e.reason, Code: e.code}
		if e.codec != nil {
			d.Error = e.codec.typ().String()
		} else if e.sentinel != nil {
			d.Error = e.sentinel.Error()
		}
		all = append(all, d)
	}
	return all
}

// settings returns what hauberk.Chain.Explain lists.
func (t *Table) settings(string) []hauberk.Setting {
	return []hauberk.Setting{{
		Name: "errors", Value: strconv.Itoa(len(t.entries)), Source: fmt.Sprintf("errs.NewTable(%q)", t.domain),
	}}
}
