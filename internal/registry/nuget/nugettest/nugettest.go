// Package nugettest makes NuGet packages, and the form in which clients push them, for tests and benchmarks.
package nugettest

import (
	"archive/zip"
	"bytes"
	"fmt"
	"mime/multipart"
)

// Package is a package to be made.
type Package struct {
	ID, Version string
	// More goes into the nuspec's metadata as it is.
	More string
	// Files are name, content pairs beside the nuspec; without any there is one small text.
	Files []string
}

// Nuspec is the package's description.
func (p Package) Nuspec() string {
	return fmt.Sprintf(`<?xml version="1.0" encoding="utf-8"?><package xmlns="http://schemas.microsoft.com/packaging/2010/07/nuspec.xsd"><metadata>
<id>%s</id><version>%s</version><authors>Ann, Bob</authors><description>it does things</description><tags>a b</tags>%s</metadata></package>`, p.ID, p.Version, p.More)
}

// Bytes is the package.
func (p Package) Bytes() []byte {
	files := p.Files
	if len(files) == 0 {
		files = []string{"lib/net45/a.txt", p.Version}
	}
	return Zip(append([]string{p.ID + ".nuspec", p.Nuspec()}, files...)...)
}

// Zip packs name, content pairs.
func Zip(files ...string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i+1 < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err == nil {
			_, err = w.Write([]byte(files[i+1]))
		}
		if err != nil {
			panic(err) // a buffer takes everything
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Form is the body of a push, and its content type. Source: NuGet docs, "Push and delete".
func Form(pkg []byte) (body []byte, contentType string) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	w, err := m.CreateFormFile("package", "package.nupkg")
	if err == nil {
		_, err = w.Write(pkg)
	}
	if err == nil {
		err = m.Close()
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes(), m.FormDataContentType()
}
