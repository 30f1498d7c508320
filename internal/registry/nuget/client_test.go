package nuget_test

import (
	"crypto"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/registry/nuget"
	"github.com/hullmark/hullmark/internal/signing/cms/cmstest"
)

// nugetProgram returns NuGet.exe 5.8 as scripts/tools e2e installs it; without it the test is skipped.
func nugetProgram(t *testing.T) string {
	t.Helper()
	program, err := filepath.Abs(filepath.Join("..", "..", "..", ".cache", "tools", "bin", "nuget5"))
	accounttest.Check(t, err)
	_, missing := os.Stat(program)
	if _, err := exec.LookPath("mono"); err != nil || missing != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("NuGet.exe is needed: run scripts/tools e2e")
		}
		t.Skip("NuGet.exe is missing: run scripts/tools e2e")
	}
	return program
}

func TestNuGetItselfVerifiesAnAuthorsAndTheRepositorysSignature(t *testing.T) {
	t.Parallel()
	program := nugetProgram(t)
	now := time.Now() // NuGet asks no other clock
	root := cmstest.New(t, "root", now)
	author, repository := newSignerAt(t, root, "Ann", now), newSignerAt(t, root, "Registry", now)
	pkg := signed(t, author, pack(t, "Acme.UI", "1.0.0", "", "content/a.txt", "a"))
	hash, err := nuget.UnsignedHash(pkg, crypto.SHA256)
	accounttest.Check(t, err)
	first, err := author.Author(hash)
	accounttest.Check(t, err)
	both, err := repository.Countersign(first, hash, []string{"acme"})
	accounttest.Check(t, err)
	pkg, err = nuget.WithSignature(pkg, both)
	accounttest.Check(t, err)

	home := t.TempDir()
	trust := filepath.Join(home, ".config", ".mono", "certs", "Trust") // mono's store
	accounttest.Check(t, os.MkdirAll(trust, 0o700))
	block, _ := pem.Decode(cmstest.PEM(root.Certificate))
	accounttest.Check(t, os.WriteFile(filepath.Join(trust, "tbs-root.cer"), block.Bytes, 0o600))
	file := filepath.Join(home, "signed.nupkg")
	accounttest.Check(t, os.WriteFile(file, pkg, 0o600))
	verify := exec.CommandContext(t.Context(), program, "verify", "-Signatures", file, "-NonInteractive")
	verify.Env = []string{"HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, ".config"), "PATH=" + os.Getenv("PATH")}
	out, err := verify.CombinedOutput()
	for _, text := range []string{"Signature type: Author", "Subject Name: CN=Ann", "Signature type: Repository", "nuget-package-owners: acme", "Verifying the repository countersignature"} {
		if !strings.Contains(string(out), text) {
			t.Errorf("NuGet does not say %q", text)
		}
	}
	if err != nil {
		t.Errorf("NuGet does not verify the package: %v\n%s", err, out)
	}
}
