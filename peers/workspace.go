package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hauberk-rpc/hauberk/peers/behind"
	"github.com/hauberk-rpc/hauberk/peers/rewrite"
)

// workspace is the folder that holds the copies of the peers' sources and the
// programs that are built from them.
type workspace struct {
	root string // of this repository
	dir  string
}

// peer is a module whose tests are run.
type peer struct {
	module, dir string
	packages    []string // that are rewritten
}

func peers() []peer {
	return []peer{
		{"google.golang.org/grpc", "grpc", []string{
			"./test", "./internal/stubserver", "./interop", "./interop/client", "./interop/server",
		}},
		{"github.com/grpc-ecosystem/go-grpc-middleware/v2", "middleware", []string{"./..."}},
		{"connectrpc.com/conformance", "conformance", []string{
			"./internal/app/grpcserver", "./internal/app/grpcclient",
		}},
	}
}

// newWorkspace copies the sources and rewrites them.
func newWorkspace(ctx context.Context, root, dir string) (*workspace, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	w := &workspace{root: root, dir: dir}
	if err := os.MkdirAll(w.path("out"), 0o750); err != nil {
		return nil, err
	}
	uses := []string{root, filepath.Join(root, "peers")}
	for _, p := range peers() {
		if err := w.copyModule(ctx, p); err != nil {
			return nil, fmt.Errorf("copying %s: %w", p.module, err)
		}
		uses = append(uses, w.path(p.dir))
	}
	if err := w.writeWork(uses); err != nil {
		return nil, err
	}
	for _, p := range peers() {
		counts, err := rewrite.Packages(w.path(p.dir), w.env(), p.packages...)
		if err != nil {
			return nil, fmt.Errorf("rewriting %s: %w", p.module, err)
		}
		fmt.Printf("%s: rewritten %v\n", p.module, counts)
	}
	return w, nil
}

// moved are modules whose packages have moved to others. Old versions of them, with
// these packages, are among the dependencies, because a workspace does not prune
// them: empty modules replace them.
func moved() []string { return []string{"google.golang.org/genproto", "cloud.google.com/go"} }

// writeWork writes the Go workspace.
func (w *workspace) writeWork(uses []string) error {
	var work strings.Builder
	work.WriteString("go 1.26.0\n\nuse (\n\t" + strings.Join(uses, "\n\t") + "\n)\n")
	for _, module := range moved() {
		dir := filepath.Join("moved", filepath.Base(module))
		if err := os.MkdirAll(w.path(dir), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(w.path(dir, "go.mod"), []byte("module "+module+"\n"), 0o600); err != nil {
			return err
		}
		work.WriteString("\nreplace " + module + " => ./" + dir + "\n")
	}
	return os.WriteFile(w.path("go.work"), []byte(work.String()), 0o600)
}

func (w *workspace) path(elements ...string) string {
	return filepath.Join(append([]string{w.dir}, elements...)...)
}

// copyModule copies a module from the module cache, at the version in go.mod.
func (w *workspace) copyModule(ctx context.Context, p peer) error {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", p.module)
	cmd.Dir = filepath.Join(w.root, "peers")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var module struct {
		Version string `json:"Version"` //nolint:tagliatelle // as the go command writes it
		Dir     string `json:"Dir"`     //nolint:tagliatelle // as the go command writes it
		Error   string `json:"Error"`   //nolint:tagliatelle // as the go command writes it
	}
	if err := json.Unmarshal(out, &module); err != nil {
		return err
	}
	if module.Error != "" {
		return errors.New(module.Error)
	}
	fmt.Printf("%s %s\n", p.module, module.Version)
	to := w.path(p.dir)
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(module.Dir))
}

// env is the environment of commands, with the variables given: bare grpc-go
// unless they name a chain.
func (w *workspace) env(more ...string) []string {
	env := append(os.Environ(), "GOWORK="+w.path("go.work"), "GOFLAGS=-buildvcs=false",
		behind.ChainVar+"=", behind.AddressVar+"=", behind.UsedVar+"="+w.path(usedFile))
	return append(env, more...)
}

const usedFile = "used"

// unused prepares for a run with a chain, and returns a function that reports
// whether the run made that chain.
func (w *workspace) unused() (check func() error, err error) {
	if err := os.RemoveAll(w.path(usedFile)); err != nil {
		return nil, err
	}
	return func() error {
		if _, err := os.Stat(w.path(usedFile)); err != nil {
			return errors.New("the run made no chain: it compared bare grpc-go with itself")
		}
		return nil
	}, nil
}

// run runs a command in a folder of the workspace, for its standard output.
func (w *workspace) run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stderr = w.path(dir), w.env(), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), err
}

// build builds a program of a peer and returns its path.
func (w *workspace) build(ctx context.Context, p, pkg string) (string, error) {
	bin := w.path("bin", p, filepath.Base(pkg))
	_, err := w.run(ctx, p, "go", "build", "-o", bin, pkg)
	return bin, err
}

// log writes the output of a run to a file of the workspace.
func (w *workspace) log(name string, out []byte) error {
	return os.WriteFile(w.path("out", name+".txt"), out, 0o600)
}
