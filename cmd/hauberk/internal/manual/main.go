// Command manual writes the man pages of hauberk and its completions for shells into a folder: `make
// manual`. The output
// depends on the commands alone.
//
//	manual FOLDER
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/cli"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "manual:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("want the name of one folder")
	}
	files, err := generate(cli.Root())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // everyone may read them
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(args[0], name), content, 0o644); err != nil { //nolint:gosec // as above
			return err
		}
	}
	return nil
}

// generate returns the files by their names.
func generate(root *cobra.Command) (map[string][]byte, error) {
	root.DisableAutoGenTag = true // it has the date
	files := make(map[string][]byte)
	if err := pages(root, files); err != nil {
		return nil, err
	}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"hauberk.bash": func(w *bytes.Buffer) error { return root.GenBashCompletionV2(w, true) },
		"hauberk.zsh":  func(w *bytes.Buffer) error { return root.GenZshCompletion(w) },
		"hauberk.fish": func(w *bytes.Buffer) error { return root.GenFishCompletion(w, true) },
		"hauberk.ps1":  func(w *bytes.Buffer) error { return root.GenPowerShellCompletionWithDesc(w) },
	} {
		var buf bytes.Buffer
		if err := write(&buf); err != nil {
			return nil, err
		}
		files[name] = buf.Bytes()
	}
	return files, nil
}

// pages adds the man pages of a command and those below it.
func pages(cmd *cobra.Command, files map[string][]byte) error {
	if !cmd.IsAvailableCommand() && cmd.HasParent() {
		return nil
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	var buf bytes.Buffer
	date := time.Unix(0, 0).UTC() // a fixed one: the zero time is replaced by the current one
	header := &doc.GenManHeader{
		Title: strings.ToUpper(name), Section: "1", Source: "Hauberk", Manual: "Hauberk", Date: &date,
	}
	if err := doc.GenMan(cmd, header, &buf); err != nil {
		return err
	}
	files[name+".1"] = withoutDate(buf.Bytes())
	for _, child := range cmd.Commands() {
		if err := pages(child, files); err != nil {
			return err
		}
	}
	return nil
}

// withoutDate removes the date of the header of a page, since pages have none.
func withoutDate(page []byte) []byte {
	return bytes.Replace(page, []byte(`"Jan 1970"`), []byte(`""`), 1)
}
