package pushback_test

import (
	"strconv"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hauberk-rpc/hauberk/internal/pushback"
)

func TestRead(t *testing.T) {
	final := pushback.Asked{Final: true}
	for _, c := range []struct {
		values []string
		infos  []*durationpb.Duration
		want   pushback.Asked
	}{
		{},
		{values: []string{"0"}, want: pushback.Asked{Has: true}},
		{values: []string{"1500"}, want: pushback.Asked{Has: true, Pushback: 1500 * time.Millisecond}},
		{values: []string{"-1"}, want: final},
		{values: []string{""}, want: final},
		{values: []string{"1s"}, want: final},
		{values: []string{"0x10"}, want: final},
		{values: []string{"2147483648"}, want: final},
		{values: []string{"1", "1"}, want: final},
		{infos: []*durationpb.Duration{durationpb.New(time.Second)}, want: pushback.Asked{Least: time.Second}},
		{
			infos: []*durationpb.Duration{durationpb.New(time.Second), durationpb.New(time.Minute)},
			want:  pushback.Asked{Least: time.Minute},
		},
		{infos: []*durationpb.Duration{durationpb.New(-time.Second), nil, {Nanos: -5, Seconds: 3}}},
		{
			values: []string{"10"}, infos: []*durationpb.Duration{durationpb.New(time.Second)},
			want: pushback.Asked{Has: true, Pushback: 10 * time.Millisecond, Least: time.Second},
		},
		{values: []string{"-1"}, infos: []*durationpb.Duration{durationpb.New(time.Second)}, want: final},
	} {
		s := status.New(codes.Unavailable, "no")
		for _, info := range c.infos {
			var err error
			if s, err = s.WithDetails(&errdetails.RetryInfo{RetryDelay: info}); err != nil {
				t.Fatal(err)
			}
		}
		md := metadata.MD{}
		md.Append(pushback.Key, c.values...)
		if got := pushback.Read(md, s); got != c.want {
			t.Errorf("%q, %v: %+v, want %+v", c.values, c.infos, got, c.want)
		} else if longest := max(c.want.Pushback, c.want.Least); got.Longest() != longest {
			t.Errorf("the longest is %v, want %v", got.Longest(), longest)
		}
	}
}

// FuzzRead: a value is a number of milliseconds from 0 up, or there is no further attempt.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"", "0", "-0", "+5", "100", "-1", "1e3", "١", " 1", "2147483647", "2147483648", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := pushback.Read(metadata.Pairs(pushback.Key, value), status.New(codes.Unavailable, ""))
		n, err := strconv.Atoi(value)
		good := err == nil && n >= 0 && n < 1<<31
		if got.Final == good || got.Has != good || good && got.Pushback != time.Duration(n)*time.Millisecond {
			t.Errorf("%q: %+v", value, got)
		}
	})
}
