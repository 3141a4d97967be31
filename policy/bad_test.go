package policy_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk/internal/policypb"
	"github.com/hauberk-rpc/hauberk/policy"
)

var update = flag.Bool("update", false, "write the golden files")

// env are the environment variables of the tests.
func env(name string) (string, bool) {
	value, ok := map[string]string{"TOKEN": "hunter2-of-env", "SPACED": "hunter2 is a secret"}[name]
	return value, ok
}

// shop returns the services of the tests.
func shop() (all []protoreflect.ServiceDescriptor) {
	services := policypb.File_internal_policypb_shop_proto.Services()
	for i := range services.Len() {
		all = append(all, services.Get(i))
	}
	return all
}

// linePlace is how each line of an error begins.
var linePlace = regexp.MustCompile(`^policy\.yaml:[1-9]\d*:[1-9]\d*: .`)

// Each bad file has the errors of its golden file, all at once and each with its place. No error has a secret.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 80 {
		t.Fatalf("%d files, %v; want at least 80", len(files), err)
	}
	dir := folder(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			opts := []policy.Option{policy.WithDir(dir), policy.WithEnv(env), policy.CheckOnly()}
			if strings.HasPrefix(filepath.Base(file), "unknown_") {
				opts = append(opts, policy.WithServices(shop()...))
			}
			p, err := policy.Parse("policy.yaml", data, opts...)
			if err == nil {
				_ = p.Close()
				t.Fatal("the file is valid")
			}
			got := strings.ReplaceAll(err.Error(), dir, "DIR") + "\n"
			checkLines(t, got)
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// checkLines checks that each line of an error has a place and none a secret.
func checkLines(t *testing.T, text string) {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if !linePlace.MatchString(line) {
			t.Errorf("a line without a place: %q", line)
		}
		if strings.Contains(line, "hunter2") {
			t.Errorf("a line with a secret: %q", line)
		}
	}
}
