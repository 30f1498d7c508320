package sbom_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"

	"github.com/hullmark/hullmark/internal/cli/sbom"
)

var at = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func document() *sbom.Document {
	digest := "sha256:" + strings.Repeat("ab", 32)
	return &sbom.Document{
		Name: "acme/shop:1", Digest: digest, Platform: "linux/amd64", Image: true, Head: 12,
		Components: []sbom.Component{
			{PURL: "pkg:npm/%40acme/ui@1.2.3", Path: "app/node_modules/@acme/ui/package.json", Layer: 1, Grounds: "both", Artifact: digest,
				Publisher: "admin", At: at, Recalled: "worm & <script>"},
			{PURL: "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13", Path: "var/lib/dpkg/status", Layer: 0, Grounds: "metadata"},
			{PURL: "pkg:npm/%40acme/ui@1.2.3", Path: "srv/vendor/ui/package.json", Layer: 2, Grounds: "content"},
		},
	}
}

func written(t *testing.T, d *sbom.Document, write func(b *bytes.Buffer, d *sbom.Document) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func cyclonedx(b *bytes.Buffer, d *sbom.Document) error { return sbom.CycloneDX(b, d, "test", at) }

func spdx(b *bytes.Buffer, d *sbom.Document) error { return sbom.SPDX(b, d, "test", at) }

// schemas is the folder of CycloneDX's own schemas, which come with its library.
func schemas(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("go list does not say where the schemas are: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "schema")
}

func TestTheCycloneDXIsOneByItsProjectsSchema(t *testing.T) {
	t.Parallel()
	folder := schemas(t)
	c := jsonschema.NewCompiler()
	for name, file := range map[string]string{
		"http://cyclonedx.org/schema/bom-1.6.schema.json": "bom-1.6.schema.json", "http://cyclonedx.org/schema/spdx.schema.json": "spdx.schema.json",
		"http://cyclonedx.org/schema/jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		text, err := os.Open(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		defer text.Close()
		doc, err := jsonschema.UnmarshalJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(name, doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	incomplete, empty := document(), &sbom.Document{Name: "empty", Head: -1}
	incomplete.Gaps = []string{"layer 2 was not read to its end"}
	for name, d := range map[string]*sbom.Document{"an image": document(), "not read to its end": incomplete, "nothing inside": empty} {
		text := written(t, d, cyclonedx)
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

func TestTheCycloneDXSaysWhatTheRecordKnowsAndNoMore(t *testing.T) {
	t.Parallel()
	d := document()
	text := written(t, d, cyclonedx)
	var b cdx.BOM
	if err := cdx.NewBOMDecoder(strings.NewReader(text), cdx.BOMFileFormatJSON).Decode(&b); err != nil {
		t.Fatal(err)
	}
	if b.SpecVersion != cdx.SpecVersion1_6 || len(*b.Components) != 3 || b.Metadata.Component.Name != "acme/shop:1" {
		t.Errorf("%+v", b)
	}
	for _, want := range []string{`"hullmark:publisher"`, `"worm & <script>"`, `"pkg:npm/%40acme/ui@1.2.3"`, `"aggregate": "unknown"`, `"12"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, `"complete"`) || strings.Contains(text, "licenses") {
		t.Errorf("it claims what nobody knows:\n%s", text)
	}
	d.Gaps = []string{"layer 2 was not read to its end"}
	if text := written(t, d, cyclonedx); !strings.Contains(text, `"aggregate": "incomplete"`) || !strings.Contains(text, "layer 2 was not read") {
		t.Errorf("the gap is not there:\n%s", text)
	}
}

func TestTheSPDXIsOneByItsProjectsLibrary(t *testing.T) {
	t.Parallel()
	text := written(t, document(), spdx)
	doc, err := json.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		t.Error(err)
	}
	ids, err := spdxlib.GetDescribedPackageIDs(doc)
	if err != nil || len(ids) != 1 || ids[0] != "root" || len(doc.Packages) != 4 {
		t.Errorf("it describes %v (%v), %d packages", ids, err, len(doc.Packages))
	}
	for _, want := range []string{`"spdxVersion": "SPDX-2.3"`, `"referenceLocator": "pkg:npm/%40acme/ui@1.2.3"`, `"comment": "Recalled: worm & <script>"`, "published by admin"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestTheSameContentsGiveTheSameDocument(t *testing.T) {
	t.Parallel()
	a, b := document(), document()
	b.Components[0], b.Components[2] = b.Components[2], b.Components[0]
	b.Components = append(b.Components, b.Components[1])
	if written(t, a, cyclonedx) != written(t, b, cyclonedx) || written(t, a, spdx) != written(t, b, spdx) {
		t.Error("the order in which they were found shows")
	}
	b.Components[0].Recalled = "worm"
	if written(t, a, cyclonedx) == written(t, b, cyclonedx) {
		t.Error("other contents have the same document")
	}
}
