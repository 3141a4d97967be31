// Package deploy_test checks how releases are built: .goreleaser.yaml, deploy/docker/.ko.yaml and the binary.
package deploy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// ko is a file .ko.yaml.
type ko struct {
	DefaultBaseImage string   `yaml:"defaultBaseImage"`
	DefaultPlatforms []string `yaml:"defaultPlatforms"`
	Builds           []struct {
		ID      string   `yaml:"id"`
		Dir     string   `yaml:"dir"`
		Main    string   `yaml:"main"`
		Env     []string `yaml:"env"`
		Flags   []string `yaml:"flags"`
		Ldflags []string `yaml:"ldflags"`
	} `yaml:"builds"`
}

// extra is a file in an archive or a package.
type extra struct {
	Src  string            `yaml:"src"`
	Dst  string            `yaml:"dst"`
	Info map[string]string `yaml:"info"`
}

// releaser is the part of goreleaser's configuration that .goreleaser.yaml may use.
type releaser struct {
	Version     int                 `yaml:"version"`
	ProjectName string              `yaml:"project_name"`
	Before      map[string][]string `yaml:"before"`
	Builds      []struct {
		ID           string   `yaml:"id"`
		Main         string   `yaml:"main"`
		Binary       string   `yaml:"binary"`
		Env          []string `yaml:"env"`
		Flags        []string `yaml:"flags"`
		Ldflags      []string `yaml:"ldflags"`
		ModTimestamp string   `yaml:"mod_timestamp"`
		Goos         []string `yaml:"goos"`
		Goarch       []string `yaml:"goarch"`
	} `yaml:"builds"`
	Archives []struct {
		ID              string            `yaml:"id"`
		IDs             []string          `yaml:"ids"`
		Formats         []string          `yaml:"formats"`
		FormatOverrides []map[string]any  `yaml:"format_overrides"`
		BuildsInfo      map[string]string `yaml:"builds_info"`
		Files           []extra           `yaml:"files"`
	} `yaml:"archives"`
	Nfpms []struct {
		ID          string   `yaml:"id"`
		IDs         []string `yaml:"ids"`
		Formats     []string `yaml:"formats"`
		Maintainer  string   `yaml:"maintainer"`
		Description string   `yaml:"description"`
		License     string   `yaml:"license"`
		Mtime       string   `yaml:"mtime"`
		Contents    []extra  `yaml:"contents"`
	} `yaml:"nfpms"`
	Kos []struct {
		ID                 string   `yaml:"id"`
		Build              string   `yaml:"build"`
		BaseImage          string   `yaml:"base_image"`
		Repositories       []string `yaml:"repositories"`
		Platforms          []string `yaml:"platforms"`
		Bare               bool     `yaml:"bare"`
		Tags               []string `yaml:"tags"`
		CreationTime       string   `yaml:"creation_time"`
		KoDataCreationTime string   `yaml:"ko_data_creation_time"`
		SBOM               string   `yaml:"sbom"`
	} `yaml:"kos"`
	Checksum  map[string]string `yaml:"checksum"`
	Changelog map[string]bool   `yaml:"changelog"`
}

// load reads a file in YAML. Unknown keys are errors.
func load(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func configs(t *testing.T) (k ko, r releaser) {
	t.Helper()
	load(t, "docker/.ko.yaml", &k)
	load(t, "../.goreleaser.yaml", &r)
	if len(k.Builds) != 1 || len(r.Builds) != 1 || len(r.Kos) != 1 {
		t.Fatalf("%d, %d and %d builds; want one each", len(k.Builds), len(r.Builds), len(r.Kos))
	}
	return k, r
}

// TestConfigs: image and archives have the same binary, built with flags that leave out what depends on the machine.
func TestConfigs(t *testing.T) {
	k, r := configs(t)
	image, archive, published := k.Builds[0], r.Builds[0], r.Kos[0]
	if r.Version != 2 || image.Main != archive.Main || image.ID != archive.ID || published.Build != archive.ID {
		t.Errorf("the builds are %+v and %+v", image, archive)
	}
	for name, pair := range map[string][2][]string{
		"env": {image.Env, archive.Env}, "flags": {image.Flags, archive.Flags},
		"ldflags":   {image.Ldflags, strings.Fields(strings.Join(archive.Ldflags, " "))},
		"platforms": {k.DefaultPlatforms, published.Platforms},
	} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Errorf("%s differ: %q and %q", name, pair[0], pair[1])
		}
	}
	for _, want := range []string{"CGO_ENABLED=0", "-trimpath", "-buildid="} {
		if !slices.Contains(slices.Concat(image.Env, image.Flags, image.Ldflags), want) {
			t.Errorf("the build has no %s", want)
		}
	}
	if k.DefaultBaseImage != published.BaseImage || !strings.Contains(k.DefaultBaseImage, "/distroless/static") ||
		!strings.HasSuffix(k.DefaultBaseImage, ":nonroot") {
		t.Errorf("the base images are %s and %s; want the same, distroless and not root",
			k.DefaultBaseImage, published.BaseImage)
	}
	const commit = "{{ .CommitTimestamp }}"
	if archive.ModTimestamp != commit || published.CreationTime != commit || published.KoDataCreationTime != commit {
		t.Error("a time is not that of the commit")
	}
}

// TestFiles: the files of archives and packages exist, or make builds them, with the time of the commit.
func TestFiles(t *testing.T) {
	_, r := configs(t)
	check := func(files []extra) {
		for _, f := range files {
			if strings.HasPrefix(f.Src, "bin/") { // the hook before makes them
				continue
			}
			if _, err := os.Stat(filepath.Join("..", f.Src)); err != nil {
				t.Errorf("%s: %v", f.Src, err)
			}
		}
	}
	for _, a := range r.Archives {
		check(a.Files)
		for _, f := range a.Files {
			if f.Info["mtime"] != "{{ .CommitDate }}" {
				t.Errorf("the time of %s is not that of the commit", f.Src)
			}
		}
	}
	for _, n := range r.Nfpms {
		check(n.Contents)
	}
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, hook := range r.Before["hooks"] {
		for _, target := range strings.Fields(hook)[1:] {
			if !strings.Contains(string(makefile), "\n"+target+":") {
				t.Errorf("the Makefile has no target %s", target)
			}
		}
	}
}
