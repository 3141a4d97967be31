package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// bill is a bill of materials.
type bill struct{ bom *cdx.BOM }

// newBill returns the bill of a program.
func newBill(info *debug.BuildInfo) (*bill, error) {
	if info.Main.Path == "" {
		return nil, errors.New("the program was built without modules")
	}
	main, err := component(info.Main, cdx.ComponentTypeApplication)
	if err != nil {
		return nil, err
	}
	main.Properties = &[]cdx.Property{}
	for _, s := range info.Settings { // sorted by the go command
		*main.Properties = append(*main.Properties, cdx.Property{Name: "go:build:" + s.Key, Value: s.Value})
	}
	std := cdx.Component{
		BOMRef: "pkg:golang/std@" + info.GoVersion, PackageURL: "pkg:golang/std@" + info.GoVersion,
		Type: cdx.ComponentTypeLibrary, Name: "std", Version: info.GoVersion,
	}
	all := []cdx.Component{std}
	for _, m := range info.Deps {
		c, err := component(*m, cdx.ComponentTypeLibrary)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	refs := make([]string, len(all))
	for i := range all {
		refs[i] = all[i].BOMRef
	}
	b := cdx.NewBOM()
	b.Metadata = &cdx.Metadata{Component: &main}
	b.Components = &all
	b.Dependencies = &[]cdx.Dependency{{Ref: main.BOMRef, Dependencies: &refs}}
	return &bill{b}, nil
}

// component returns a module. One that is replaced is what replaces it.
func component(m debug.Module, kind cdx.ComponentType) (cdx.Component, error) {
	if m.Replace != nil {
		m = *m.Replace
	}
	name := "pkg:golang/" + escape(m.Path)
	if m.Version != "" {
		name += "@" + url.PathEscape(m.Version)
	}
	c := cdx.Component{BOMRef: name, PackageURL: name, Type: kind, Name: m.Path, Version: m.Version}
	if m.Sum == "" {
		return c, nil
	}
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:"))
	if err != nil || !strings.HasPrefix(m.Sum, "h1:") {
		return c, fmt.Errorf("the hash of %s is %q; want one that begins with \"h1:\"", m.Path, m.Sum)
	}
	c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
	return c, nil
}

// escape returns the path of a module as a package URL has it.
func escape(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// write writes the bill as JSON. Its serial number is made of its content.
func (b *bill) write(w io.Writer) error {
	b.bom.SerialNumber = ""
	content, err := b.encode()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	id := sum[:16]
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8 of RFC 9562
	b.bom.SerialNumber = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	if content, err = b.encode(); err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

func (b *bill) encode() ([]byte, error) {
	var buf bytes.Buffer
	encoder := cdx.NewBOMEncoder(&buf, cdx.BOMFileFormatJSON)
	encoder.SetPretty(true)
	encoder.SetEscapeHTML(false)
	err := encoder.EncodeVersion(b.bom, cdx.SpecVersion1_6)
	return buf.Bytes(), err
}
