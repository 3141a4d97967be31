package fault_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/fault"
)

// TestBadConfig: everything that is wrong is reported at once, with its place and value.
func TestBadConfig(t *testing.T) {
	for name, c := range map[string]struct {
		config fault.Config
		opts   []fault.Option
		want   []string
	}{
		"nothing": {fault.Config{}, nil, []string{"there are no Rules, so it has no effect"}},
		"an empty rule": {
			fault.Config{Rules: []fault.Rule{{}}},
			nil,
			[]string{"Rules[0].Percentage is 0; want more than 0, and at most 100", "Rules[0].Delay, MaxDelay, Abort and Messages are not set"},
		},
		"percentage of NaN":   {one(fault.Rule{Percentage: math.NaN(), Delay: 1}), nil, []string{"Rules[0].Percentage is NaN"}},
		"percentage of 101":   {one(fault.Rule{Percentage: 101, Delay: 1}), nil, []string{"Rules[0].Percentage is 101"}},
		"negative percentage": {one(fault.Rule{Percentage: -1, Delay: 1}), nil, []string{"Rules[0].Percentage is -1"}},
		"delays": {
			fault.Config{MaxActive: -1, Rules: []fault.Rule{
				{Percentage: 1, Delay: -time.Second},
				{Percentage: 1, Delay: 2 * time.Second, MaxDelay: time.Second},
				{Percentage: 1, MaxDelay: -time.Second},
			}},
			nil,
			[]string{"MaxActive is -1", "Rules[0].Delay is -1s", "Rules[1].MaxDelay is 1s; want at least Delay, 2s", "Rules[2].MaxDelay is -1s"},
		},
		"aborts": {
			fault.Config{Rules: []fault.Rule{
				{Percentage: 1, Abort: &fault.Abort{}},
				{Percentage: 1, Abort: &fault.Abort{Code: 17}},
				{Percentage: 1, Abort: &fault.Abort{Code: codes.Aborted, Reason: "not so", AfterMessages: -1}},
			}},
			nil,
			[]string{
				"Rules[0].Abort.Code is OK; want the code of an error", "Rules[1].Abort.Code is Code(17)",
				`Rules[2].Abort.Reason is "not so"`, "Rules[2].Abort.AfterMessages is -1",
			},
		},
		"messages": {
			fault.Config{Rules: []fault.Rule{
				{Percentage: 1, Messages: &fault.Messages{}},
				{Percentage: 1, Messages: &fault.Messages{Drop: math.NaN(), Duplicate: 200, Delay: -1, DelayFor: 1}},
				{Percentage: 1, Messages: &fault.Messages{Delay: 1}},
				{Percentage: 1, Messages: &fault.Messages{Drop: 1, DelayFor: time.Second, Direction: 3}},
			}},
			nil,
			[]string{
				"Rules[0].Messages has no Drop, Duplicate or Delay, so it has no effect",
				"Rules[1].Messages.Drop is NaN; want 0 to 100", "Rules[1].Messages.Duplicate is 200", "Rules[1].Messages.Delay is -1",
				"Rules[2].Messages.Delay is 1, and DelayFor is 0s; want both or none",
				"Rules[3].Messages.Delay is 0, and DelayFor is 1s; want both or none", "Rules[3].Messages.Direction is Direction(3)",
			},
		},
		"patterns": {
			one(fault.Rule{Methods: []string{"a.B/C", "no pattern"}, Metadata: map[string]string{"": "x"}, Delay: 1}), nil,
			[]string{`Rules[0].Methods has "no pattern"; want`, "Rules[0].Metadata has an empty key"},
		},
		"options": {
			one(fault.Rule{Delay: 1}),
			[]fault.Option{nil, fault.WithSwitch(nil)},
			[]string{"WithSwitch was given a nil function", "option 1 of New is nil"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hauberk.New(fault.New(c.config, c.opts...))
			if err == nil {
				t.Fatal("New takes it")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not have %q:\n%v", want, err)
				}
			}
			if lines := strings.Count(err.Error(), "\n") + 1; lines != len(c.want) {
				t.Errorf("%d errors; want %d:\n%v", lines, len(c.want), err)
			}
		})
	}
	if _, err := hauberk.New(new(fault.Interceptor)); err == nil {
		t.Error("New takes a zero Interceptor")
	}
}
