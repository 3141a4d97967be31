package options_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/options"
)

type option interface{ value() int }

type number int

func (n number) value() int { return int(n) }

// Each option is applied once, in order, and nil ones are named.
func TestApply(t *testing.T) {
	var got []int
	err := options.Apply([]option{number(3), nil, number(1), nil}, func(o option) { got = append(got, o.value()) })
	if !slices.Equal(got, []int{3, 1}) {
		t.Errorf("applied %v", got)
	}
	if err == nil || !strings.Contains(err.Error(), "option 2 of New") || !strings.Contains(err.Error(), "option 4 of New") {
		t.Errorf("error %v", err)
	}
	if err := options.Apply(nil, func(option) {}); err != nil {
		t.Errorf("without options: %v", err)
	}
}

// A dependency is nil also if it is an interface with a nil pointer, as that of a constructor that failed.
func TestIsNil(t *testing.T) {
	var failed *strings.Builder
	for _, c := range []struct {
		x    any
		want bool
	}{
		{nil, true},
		{failed, true},
		{(func())(nil), true},
		{map[string]int(nil), true},
		{[]int(nil), true},
		{chan int(nil), true},
		{new(strings.Builder), false},
		{func() {}, false},
		{number(0), false},
		{struct{}{}, false},
		{[]int{}, false},
	} {
		if got := options.IsNil(c.x); got != c.want {
			t.Errorf("%T: %t; want %t", c.x, got, c.want)
		}
	}
}
