package breaker_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
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

		"SuccessThreshold is -1":                    {SuccessThreshold: -1},
		"FailureRatio is NaN":                       {FailureRatio: math.NaN()},
		"FailureRatio is 1.5":                       {FailureRatio: 1.5},
		"FailureRatio is -0.5":                      {FailureRatio: -0.5},
		"SlowRatio is +Inf":                         {SlowRatio: math.Inf(1), SlowAfter: 1},
		"SlowAfter is -1s":                          {SlowRatio: 1, SlowAfter: -time.Second},
		"SlowRatio is 0.5 and SlowAfter is 0s":      {SlowRatio: 0.5},
		"SlowRatio is 0 and SlowAfter is 1s":        {SlowAfter: time.Second},
		"MinCalls is -2":                            {FailureRatio: 1, MinCalls: -2},
		"WindowCalls is 1000000000":                 {FailureRatio: 1, WindowCalls: 1e9},
		"WindowCalls is -1":                         {FailureRatio: 1, WindowCalls: -1},
		"WindowTime is 8760h0m0s":                   {FailureRatio: 1, WindowTime: 365 * 24 * time.Hour},
		"WindowTime is 1ns":                         {FailureRatio: 1, WindowTime: 1},
		"WindowCalls is 5 and WindowTime is 1s":     {FailureRatio: 1, WindowCalls: 5, WindowTime: time.Second},
		"MinCalls is 6 and WindowCalls is 5":        {FailureRatio: 1, WindowCalls: 5, MinCalls: 6},
		"WindowTime is 1s without a ratio":          {WindowTime: time.Second},
		"OpenForMultiplier is 0.5":                  {OpenForMultiplier: 0.5},
		"OpenForMultiplier is NaN":                  {OpenForMultiplier: math.NaN()},
		"OpenForMultiplier is +Inf":                 {OpenForMultiplier: math.Inf(1)},
		"OpenForJitter is 2":                        {OpenForJitter: 2},
		"OpenForJitter is NaN":                      {OpenForJitter: math.NaN()},
		"MaxOpenFor is -1s":                         {MaxOpenFor: -time.Second},
		"MaxOpenFor is 2h0m0s without":              {MaxOpenFor: 2 * time.Hour},
		"MaxOpenFor is 1s and OpenFor is 1m0s":      {MaxOpenFor: time.Second, OpenForMultiplier: 2},
		"Key is the peer":                           {Key: callkey.Peer()},
		"Key: callkey.Func was given an empty name": {Key: callkey.Func("", func(context.Context, *hauberk.Call) (string, bool) { return "", false })},
	} {
		b := breaker.New(config)
		_, err := hauberk.New(b)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "; want ") ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q in it and nothing else", err, want)
		}
		if len(b.States()) > 0 || len(b.Failures()) > 0 {
			t.Errorf("%s: it has circuits", want)
		}
	}
	for name, option := range nilOptions {
		_, err := hauberk.New(breaker.New(breaker.Config{}, option))
		if err == nil || !strings.Contains(err.Error(), name+" is nil") {
			t.Errorf("%s of nil: %v", name, err)
		}
	}
}

// nilOptions are options with a nil argument, by their names.
var nilOptions = map[string]breaker.Option{
	"WithClock": breaker.WithClock(nil), "WithOutcome": breaker.WithOutcome(nil), "WithFallback": breaker.WithFallback(nil),
	"WithListener": breaker.WithListener(nil), "WithLogger": breaker.WithLogger(nil),
}

// TestGoodConfig: limits of what is legal, such as more successes than concurrent probes.
func TestGoodConfig(t *testing.T) {
	for name, config := range map[string]breaker.Config{
		"successes":        {SuccessThreshold: 10, HalfOpenMaxCalls: 1},
		"greatest windows": {FailureRatio: 1, WindowCalls: breaker.MaxWindowCalls},
		"a day":            {FailureRatio: 1, WindowTime: breaker.MaxWindowTime},
		"least":            {FailureRatio: 1e-9, WindowTime: time.Millisecond, MinCalls: 1},
		"one call":         {FailureRatio: 1, WindowCalls: 1},
		"growing":          {OpenForMultiplier: 1000, MaxOpenFor: time.Hour, OpenForJitter: 1},
		"long":             {OpenFor: math.MaxInt64, OpenForMultiplier: 2},
		"first response":   {CountAtFirstResponse: true, EstablishedAfter: time.Hour},
		"all":              {FailureThreshold: 5, FailureRatio: 0.5, SlowRatio: 0.5, SlowAfter: 1, MinCalls: 1e6},
	} {
		if _, err := hauberk.New(breaker.New(config)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAllErrors: all wrong fields are reported at once.
func TestAllErrors(t *testing.T) {
	_, err := hauberk.New(breaker.New(breaker.Config{
		By: 9, FailureThreshold: -1, OpenFor: -time.Second, HalfOpenMaxCalls: -1, ProbeTimeout: -1, MinTimeout: -1,
		EstablishedAfter: -1, FailureCodes: []codes.Code{codes.OK}, MaxCircuits: -1,
		FailureRatio: 2, SlowRatio: math.NaN(), WindowCalls: -1, WindowTime: -1, MinCalls: -1, SuccessThreshold: -1,
		OpenForMultiplier: -1, OpenForJitter: -1, MaxOpenFor: -1, Key: callkey.Peer(),
	}, breaker.WithClock(nil), breaker.WithFallback(nil)))
	for _, want := range []string{
		"By is", "FailureThreshold", "OpenFor", "HalfOpenMaxCalls", "ProbeTimeout", "MinTimeout", "FailureCodes", "MaxCircuits",
		"EstablishedAfter", "WithClock", "WithFallback", "FailureRatio", "SlowRatio", "SlowAfter", "WindowCalls", "WindowTime",
		"MinCalls", "SuccessThreshold", "OpenForMultiplier", "OpenForJitter", "MaxOpenFor", "Key",
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
