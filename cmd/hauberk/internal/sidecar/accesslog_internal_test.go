package sidecar

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/otelenv"
)

// The access log has all calls, or none, or a sample, with the levels of the flags.
func TestAccessLog(t *testing.T) {
	for _, tt := range []struct {
		name, flags string
		want        []string // level and code of each record
	}{
		{"all", "", []string{"INFO OK", "INFO OK", "INFO OK", "INFO NOT_FOUND", "ERROR INTERNAL", "ERROR INTERNAL"}},
		{"off", "--access-log-off", nil},
		{"the first", "--access-log-first 1", []string{"INFO OK", "ERROR INTERNAL", "ERROR INTERNAL"}},
		{
			"one in three", "--access-log-one-in 3",
			[]string{"INFO OK", "ERROR INTERNAL", "ERROR INTERNAL"},
		},
		{
			"levels", "--access-log-levels OK=debug,NOT_FOUND=warn,internal=info",
			[]string{"WARN NOT_FOUND", "INFO INTERNAL", "INFO INTERNAL"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := parsed(t, strings.Fields(tt.flags)...)
			if err := o.access.check(""); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			p, err := o.newPolicy(&out, &otelenv.Providers{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, code := range []codes.Code{
				codes.OK, codes.OK, codes.OK, codes.NotFound, codes.Internal, codes.Internal,
			} {
				handler := func(context.Context, any) (any, error) { return "reply", status.Error(code, "") }
				_, _ = p.chain.UnaryServerInterceptor()(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, handler)
			}
			var got []string
			for _, r := range decoded(t, out.String()) {
				level, _ := r["level"].(string)
				code, _ := r["rpc.response.status_code"].(string)
				got = append(got, level+" "+code)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s\n%s", diff, &out)
			}
		})
	}
}

// What is wrong with the flags of the access log.
func TestAccessLogErrors(t *testing.T) {
	for _, tt := range []struct{ flags, config, want string }{
		{"--access-log-off", "policy.yaml", "with --config, set sampling, levels and rules of the entry logging"},
		{"--access-log-one-in 3", "policy.yaml", "with --config"},
		{"--access-log-off --access-log-first 3", "", "which then have no effect"},
		{"--access-log-first -1", "", "--access-log-first is -1 and --access-log-one-in is 0; want positive numbers"},
		{"--access-log-levels NOTFOUND=info", "", `the code "NOTFOUND"; want a name such as NOT_FOUND`},
		{"--access-log-levels OK=loud", "", `the level "loud" for OK; want debug, info, warn or error`},
	} {
		o, cmd := new(options), new(cobra.Command)
		o.flags(cmd)
		if err := cmd.ParseFlags(strings.Fields(tt.flags)); err != nil {
			t.Fatal(err)
		}
		if err := o.access.check(tt.config); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.flags, err, tt.want)
		}
	}
}
