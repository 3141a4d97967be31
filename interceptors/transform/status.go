package transform

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// statuses maps a code to its replacement.
type statuses map[codes.Code]Status

func newStatuses(list []Status) (statuses, error) {
	s := make(statuses)
	errs := make([]error, 0, len(list))
	for i, rule := range list {
		errs = append(errs, wrap(fmt.Sprintf("Config.Statuses[%d]", i), s.add(rule)))
	}
	return s, errors.Join(errs...)
}

func (s statuses) add(rule Status) error {
	if _, twice := s[rule.From]; twice {
		return fmt.Errorf("%s is replaced a second time", rule.From)
	}
	for _, code := range []codes.Code{rule.From, rule.To} {
		if code == codes.OK || code > codes.Unauthenticated {
			return fmt.Errorf("%s becomes %s; want codes of gRPC, 1 to 16", rule.From, rule.To)
		}
	}
	if rule.KeepMessage && rule.Message != "" {
		return fmt.Errorf("the Message %q and KeepMessage are set; want one of them", rule.Message)
	}
	s[rule.From] = rule
	return nil
}

// apply returns the outcome that replaces err.
func (s statuses) apply(err error) error {
	if err == nil || len(s) == 0 {
		return err
	}
	st := hauberk.StatusOf(err)
	rule, ok := s[st.Code()]
	if !ok {
		return err
	}
	return &mappedError{st: rule.of(st), cause: err}
}

// of returns the status that replaces another.
func (rule *Status) of(old *status.Status) *status.Status {
	p := old.Proto()
	p.Code = int32(rule.To)
	if !rule.KeepMessage {
		p.Message = rule.Message
	}
	if !rule.KeepDetails {
		p.Details = nil
	}
	return status.FromProto(p)
}

// mappedError is an outcome with another status.
type mappedError struct {
	st    *status.Status
	cause error
}

// Error returns the new status as text, as errors of grpc-go do.
func (e *mappedError) Error() string { return e.st.Err().Error() }

// GRPCStatus returns the new status.
func (e *mappedError) GRPCStatus() *status.Status { return e.st }

// Unwrap returns the replaced error.
func (e *mappedError) Unwrap() error { return e.cause }
