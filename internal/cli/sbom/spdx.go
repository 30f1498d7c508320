package sbom

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

const unknown = "NOASSERTION"

// SPDX writes d in SPDX 2.3, as JSON. tool is the version of the program.
func SPDX(w io.Writer, d *Document, tool string, at time.Time) error {
	sum, err := d.sum()
	if err != nil {
		return err
	}
	doc := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: d.Name,
		DocumentNamespace: namespace + sum,
		CreationInfo: &spdx.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "hullmark-" + tool}}, Created: at.UTC().Format(time.RFC3339),
		},
		DocumentComment: d.comment(),
	}
	root := spdxPackage("root", d.Name, "", d.Digest)
	root.PrimaryPackagePurpose = "FILE"
	if d.Image {
		root.PrimaryPackagePurpose, root.PackageVersion = "CONTAINER", d.Digest
	}
	doc.Packages = append(doc.Packages, root)
	doc.Relationships = append(doc.Relationships, relation("DOCUMENT", "DESCRIBES", "root"))
	for _, c := range d.ordered() {
		doc.Packages = append(doc.Packages, c.spdx())
		doc.Relationships = append(doc.Relationships, relation("root", "CONTAINS", ref(c)))
	}
	return json.Write(doc, w, json.Indent("  "), json.EscapeHTML(false))
}

// comment says what the document leaves out: SPDX 2.3 has no field for it.
func (d *Document) comment() string {
	if !d.Incomplete() {
		return "Packages of sorts that the reader does not know are not in here."
	}
	return "Not everything was read: " + strings.Join(d.Gaps, "; ")
}

func spdxPackage(id, name, version, digest string) *spdx.Package {
	p := &spdx.Package{
		PackageSPDXIdentifier: common.ElementID(id), PackageName: name, PackageVersion: version, PackageDownloadLocation: unknown,
		PackageLicenseConcluded: unknown, PackageLicenseDeclared: unknown, PackageCopyrightText: unknown, IsFilesAnalyzedTagPresent: true,
	}
	algorithm, hex, _ := strings.Cut(digest, ":")
	if known, ok := map[string]common.ChecksumAlgorithm{"sha256": common.SHA256, "sha512": common.SHA512}[algorithm]; ok {
		p.PackageChecksums = []common.Checksum{{Algorithm: known, Value: hex}}
	}
	return p
}

func (c Component) spdx() *spdx.Package {
	name, version := nameOf(c.PURL)
	p := spdxPackage(ref(c), name, version, c.Artifact)
	p.PackageExternalReferences = []*spdx.PackageExternalReference{{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: c.PURL}}
	p.PackageSourceInfo = c.source()
	if !c.At.IsZero() {
		p.ReleaseDate = c.At.UTC().Format(time.RFC3339)
	}
	if c.Recalled != "" {
		p.PackageComment = "Recalled: " + c.Recalled
	}
	return p
}

// source says where it was found and on which grounds, for people.
func (c Component) source() string {
	text := "found"
	if c.Path != "" {
		text += " at " + c.Path
	}
	if c.Layer >= 0 {
		text += fmt.Sprintf(" in layer %d", c.Layer)
	}
	if c.Grounds != "" {
		text += " by " + c.Grounds
	}
	if c.Publisher != "" {
		text += "; published by " + c.Publisher
	}
	return text
}

func relation(from, kind, to string) *spdx.Relationship {
	return &spdx.Relationship{
		RefA: common.MakeDocElementID("", from), RefB: common.MakeDocElementID("", to), Relationship: kind,
	}
}
