package breaker_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
)

// TestBadConfig: each wrong field is reported by its name, and only those.
func TestBadConfig(t *testing.T) {
	for want, config := range map[string]breaker.Config{
		"By is 9":                   {By: 9},
		"FailureThreshold is -1":    {FailureThreshold: -1},
		"OpenFor is -1s":            {OpenFor: -time.Second},
		"HalfOpenMaxCalls is -2":    {HalfOpenMaxCalls: -2},
		"ProbeTimeout is -1ns":      {ProbeTimeout: -1},
		"EstablishedAfter is -1ns":  {EstablishedAfter: -1},
		"MinTimeout is -1s":         {MinTimeout: -time.Second},
		"FailureCodes has Canceled": {FailureCodes: []codes.Code{codes.Canceled}},
		"MaxCircuits is -3":         {MaxCircuits: -3},
	} {
		b := breaker.New(config)
		_, err := hauberk.New(b)
		if err == nil || !strings.Contains(err.Error(), want+"; want ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q in it and nothing else", err, want)
		}
		if len(b.States()) > 0 || len(b.Failures()) > 0 {
			t.Errorf("%s: it has circuits", want)
		}
	}
	if _, err := hauberk.New(breaker.New(breaker.Config{}, breaker.WithClock(nil))); err == nil {
		t.Error("a nil clock was accepted")
	}
}

// TestAllErrors: all wrong fields are reported at once.
func TestAllErrors(t *testing.T) {
	_, err := hauberk.New(breaker.New(breaker.Config{
		By: 9, FailureThreshold: -1, OpenFor: -time.Second, HalfOpenMaxCalls: -1, ProbeTimeout: -1, MinTimeout: -1,
		EstablishedAfter: -1, FailureCodes: []codes.Code{codes.OK}, MaxCircuits: -1,
	}, breaker.WithClock(nil)))
	for _, want := range []string{
		"By is", "FailureThreshold", "OpenFor", "HalfOpenMaxCalls", "ProbeTimeout", "MinTimeout", "FailureCodes", "MaxCircuits",
		"EstablishedAfter", "WithClock",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
}

// TestConfigIsCopied: a later change of the caller's slice changes nothing.
func TestConfigIsCopied(t *testing.T) {
	list := []codes.Code{codes.Unavailable}
	b := breaker.New(breaker.Config{FailureThreshold: 1, FailureCodes: list})
	list[0] = codes.NotFound
	for _, c := range []struct {
		code codes.Code
		want breaker.State
	}{{codes.NotFound, breaker.Closed}, {codes.Unavailable, breaker.Open}} {
		w := startWith(t, hauberk.Unary, b)
		_ = w.call(t, c.code)
		w.wantState(t, c.want)
	}
}
