package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// TestSelf: the bill of this test's own program lists the modules that are linked, and is the same each time.
func TestSelf(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var first bytes.Buffer
	if err := run([]string{program}, &first); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sbom.json")
	if err := run([]string{"-o", file, program}, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second) {
		t.Error("two bills of the same program differ")
	}
	bom := decode(t, second)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("no build information")
	}
	if got := bom.Metadata.Component.Name; got != info.Main.Path {
		t.Errorf("the bill is that of %s; want %s", got, info.Main.Path)
	}
	for _, want := range append(info.Deps, &debug.Module{Path: "std", Version: info.GoVersion}) {
		if !slices.ContainsFunc(*bom.Components, func(c cdx.Component) bool {
			return c.Name == want.Path && c.Version == want.Version
		}) {
			t.Errorf("the bill does not list %s %s", want.Path, want.Version)
		}
	}
	if len(*bom.Components) != len(info.Deps)+1 {
		t.Errorf("the bill lists %d components; want %d", len(*bom.Components), len(info.Deps)+1)
	}
}

func decode(t *testing.T, data []byte) *cdx.BOM {
	t.Helper()
	bom := &cdx.BOM{}
	if err := cdx.NewBOMDecoder(bytes.NewReader(data), cdx.BOMFileFormatJSON).Decode(bom); err != nil {
		t.Fatal(err)
	}
	return bom
}

// TestBill: hashes, names and replaced modules, and a serial number that depends on the content alone.
func TestBill(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Main:      debug.Module{Path: "example.org/m", Version: "v1.0.0+dirty"},
		Deps: []*debug.Module{
			{Path: "example.org/z", Version: "v1.2.3", Sum: "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},
			{Path: "example.org/a", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/b", Version: "v2.0.0"}},
		},
		Settings: []debug.BuildSetting{{Key: "CGO_ENABLED", Value: "0"}},
	}
	text := func() string {
		b, err := newBill(info)
		if err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		if err := b.write(&buf); err != nil {
			t.Fatal(err)
		}
		return buf.String()
	}
	first := text()
	for _, want := range []string{
		`"specVersion": "1.6"`, `"purl": "pkg:golang/example.org/m@v1.0.0+dirty"`, `"name": "go:build:CGO_ENABLED"`,
		`"content": "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"`,
		`"name": "example.org/b"`, `"purl": "pkg:golang/std@go1.26.8"`,
	} {
		if !strings.Contains(first, want) {
			t.Errorf("the bill has no %s:\n%s", want, first)
		}
	}
	if strings.Contains(first, "example.org/a") || strings.Contains(first, "timestamp") {
		t.Errorf("the bill has a replaced module, or a time:\n%s", first)
	}
	slices.Reverse(info.Deps)
	if again := text(); again != first {
		t.Errorf("the order of modules changes the bill:\n%s\n%s", first, again)
	}
	info.Deps[0].Replace.Version = "v2.0.1"
	a, b := decode(t, []byte(first)), decode(t, []byte(text()))
	if a.SerialNumber == b.SerialNumber || !strings.HasPrefix(a.SerialNumber, "urn:uuid:") {
		t.Errorf("the serial numbers are %s and %s", a.SerialNumber, b.SerialNumber)
	}
}

// TestWrong: what is no program of Go, and bad arguments.
func TestWrong(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"a", "b"}, {text}, {text + "2"}} {
		if err := run(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	if _, err := newBill(&debug.BuildInfo{}); err == nil {
		t.Error("no error without modules")
	}
	bad := debug.Module{Path: "a", Sum: "h2:x"}
	if _, err := newBill(&debug.BuildInfo{Main: bad}); err == nil {
		t.Error("no error for an unknown hash")
	}
	if _, err := newBill(&debug.BuildInfo{Main: debug.Module{Path: "m"}, Deps: []*debug.Module{&bad}}); err == nil {
		t.Error("no error for an unknown hash of a dependency")
	}
}
