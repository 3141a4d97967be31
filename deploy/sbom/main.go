// Command sbom writes the software bill of materials of a Go program in CycloneDX JSON: the modules that are linked
// into it, by its build information. The output depends on the program alone.
//
//	sbom [-o FILE] PROGRAM
package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("sbom", flag.ContinueOnError)
	file := flags.String("o", "", "write to this file (default: standard output)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("want the name of one program")
	}
	info, err := buildinfo.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	bill, err := newBill(info)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := bill.write(&buf); err != nil {
		return err
	}
	if *file != "" {
		return os.WriteFile(*file, buf.Bytes(), 0o644) //nolint:gosec // everyone may read it
	}
	_, err = out.Write(buf.Bytes())
	return err
}
