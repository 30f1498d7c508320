package nuget_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry/nuget"
	"github.com/hullmark/hullmark/internal/registry/nuget/nugettest"
)

// hostile are packages that must not be taken, with the code of the refusal.
func hostile() map[string]struct {
	pkg  []byte
	code string
} {
	spec := func(more string) string {
		return nugettest.Package{ID: "Acme.UI", Version: "1.0.0", More: more}.Nuspec()
	}
	zip, plain := nugettest.Zip, spec("")
	type c = struct {
		pkg  []byte
		code string
	}
	twice := zip("a.nuspec", plain, "b.txt", "b")
	return map[string]c{
		"no archive":                     {[]byte("MZ"), "archive-malformed"},
		"nothing":                        {nil, "archive-malformed"},
		"no nuspec":                      {zip("lib/a.dll", "a"), "package-invalid"},
		"a nuspec in a folder only":      {zip("lib/a.nuspec", plain), "package-invalid"},
		"two nuspecs":                    {zip("a.nuspec", plain, "b.nuspec", plain), "package-invalid"},
		"two nuspecs in other case":      {zip("a.nuspec", plain, "B.NUSPEC", plain), "package-invalid"},
		"a path out of the folder":       {zip("a.nuspec", plain, "../a.dll", "a"), "archive-path-escape"},
		"a coded path out of the folder": {zip("a.nuspec", plain, "lib/%2e%2e/%2e%2e/a.dll", "a"), "package-invalid"},
		"a coded slash":                  {zip("a.nuspec", plain, "tools%2finit.ps1", "a", "tools/init.ps1", "b"), "package-invalid"},
		"names in other case":            {zip("a.nuspec", plain, "lib/a.dll", "a", "LIB/A.dll", "b"), ""},
		"a backslash":                    {zip("a.nuspec", plain, `lib\a.dll`, "a"), ""},
		"a coded backslash":              {zip("a.nuspec", plain, `tools%5C..%5C..%5Ca.dll`, "a"), "package-invalid"},
		"a coded NUL":                    {zip("a.nuspec", plain, "lib/a%00.dll", "a"), "package-invalid"},
		"a signature in a folder's case": {zip("a.nuspec", plain, ".Signature.p7s", "a"), "signature-invalid"},
		"a signature that is too large":  {zip("a.nuspec", plain, ".signature.p7s", strings.Repeat("a", 2<<20)), "signature-invalid"},
		"data before the archive":        {append([]byte("#!/bin/sh\n"), twice...), ""},
		"data after the archive":         {append(bytes.Clone(twice), "more"...), ""},
		"no XML":                         {zip("a.nuspec", "{}"), "nuspec-invalid"},
		"XML that ends early":            {zip("a.nuspec", plain[:len(plain)-20]), "nuspec-invalid"},
		"another root":                   {zip("a.nuspec", "<project/>"), "nuspec-invalid"},
		"two roots":                      {zip("a.nuspec", plain+"<package/>"), "nuspec-invalid"},
		"two ids":                        {zip("a.nuspec", spec("<id>Other</id>")), "nuspec-invalid"},
		"two metadata elements":          {zip("a.nuspec", strings.Replace(plain, "<metadata>", "<metadata><id>Other</id></metadata><metadata>", 1)), "nuspec-invalid"},
		"a document type":                {zip("a.nuspec", `<!DOCTYPE p [<!ENTITY a "b">]>`+strings.Replace(plain, `<?xml version="1.0" encoding="utf-8"?>`, "", 1)), "nuspec-invalid"},
		"an entity that is unknown":      {zip("a.nuspec", spec("<title>&a;</title>")), "nuspec-invalid"},
		"another encoding":               {zip("a.nuspec", strings.Replace(plain, "utf-8", "utf-7", 1)), "nuspec-invalid"},
		"deep elements":                  {zip("a.nuspec", spec(strings.Repeat("<x>", 50)+strings.Repeat("</x>", 50))), "nuspec-invalid"},
		"many elements":                  {zip("a.nuspec", spec("<references>"+strings.Repeat("<r/>", 30_000)+"</references>")), "nuspec-invalid"},
		"a large nuspec":                 {zip("a.nuspec", spec("<title>"+strings.Repeat("a", 2<<20)+"</title>")), "nuspec-invalid"},
		"a name with a slash":            {zip("a.nuspec", strings.Replace(plain, "Acme.UI", "Acme/UI", 1)), "name-invalid"},
		"a name that is too long":        {zip("a.nuspec", strings.Replace(plain, "Acme.UI", strings.Repeat("a", 101), 1)), "name-invalid"},
		"no name":                        {zip("a.nuspec", strings.Replace(plain, "Acme.UI", "", 1)), "name-invalid"},
		"no version":                     {zip("a.nuspec", strings.Replace(plain, "<version>1.0.0</version>", "", 1)), "version-invalid"},
		"a version with a space":         {zip("a.nuspec", strings.Replace(plain, "1.0.0</v", "1.0 .0</v", 1)), "version-invalid"},
		"a dependency without a name":    {zip("a.nuspec", spec(`<dependencies><dependency version="1"/></dependencies>`)), "name-invalid"},
		"too many dependencies":          {zip("a.nuspec", spec("<dependencies>"+strings.Repeat(`<dependency id="a"/>`, 2001)+"</dependencies>")), "nuspec-invalid"},
		"dependencies in and out of groups": {zip("a.nuspec", spec(
			`<dependencies><dependency id="a"/><group><dependency id="b"/></group></dependencies>`)), "nuspec-invalid"},
	}
}

func TestAHostilePackageIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range hostile() {
		_, err := nuget.ReadPackage(c.pkg)
		got := fault.As(err)
		if err == nil || got.Kind == fault.Internal || c.code != "" && got.Code != c.code {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
}

func TestWhatRunsAtThoseWhoUseAPackageIsAHook(t *testing.T) {
	t.Parallel()
	hooks, err := nuget.ReadPackage(pack(t, "Acme.UI", "1.0.0", "",
		"tools/init.ps1", "", "tools/net45/Install.ps1", "", "tools/other.ps1", "", "build/Acme.UI.targets", "", "buildTransitive/net8.0/Acme.UI.props", "",
		"buildMultiTargeting%2fx.targets", "", "content/a.targets", "", "lib/init.ps1", ""))
	accounttest.Check(t, err)
	want := []string{"tools/init.ps1", "tools/net45/install.ps1", "build/acme.ui.targets", "buildtransitive/net8.0/acme.ui.props", "buildmultitargeting/x.targets"}
	if !slices.Equal(hooks, want) {
		t.Errorf("got  %q\nwant %q", hooks, want)
	}
}

func FuzzPackage(f *testing.F) {
	f.Add(nugettest.Package{ID: "Acme.UI", Version: "1.0.0", Files: []string{"build/a.targets", "<Project/>", ".signature.p7s", "x"}}.Bytes())
	for _, c := range hostile() {
		if len(c.pkg) < 10_000 {
			f.Add(c.pkg)
		}
	}
	f.Fuzz(func(t *testing.T, pkg []byte) {
		if _, err := nuget.ReadPackage(pkg); err == nil {
			if _, err := nuget.WithSignature(pkg, []byte("signature")); err != nil && fault.KindOf(err) == fault.Internal {
				t.Errorf("a package that was read cannot be signed: %v", err)
			}
		} else if fault.KindOf(err) == fault.Internal {
			t.Errorf("failed with %v", err)
		}
	})
}

func FuzzNuspec(f *testing.F) {
	for i, more := range []string{"", "<dependencies><group targetFramework='net45'><dependency id='a' version='[1,2)'/></group></dependencies>", "<license type='expression'>MIT</license>"} {
		f.Add(nugettest.Package{ID: fmt.Sprintf("a%d", i), Version: "1.0", More: more}.Nuspec())
	}
	f.Fuzz(func(t *testing.T, nuspec string) {
		if _, err := nuget.ReadPackage(nugettest.Zip("a.nuspec", nuspec)); err != nil && fault.KindOf(err) == fault.Internal {
			t.Errorf("failed with %v", err)
		}
	})
}
