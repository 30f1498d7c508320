package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/cli/output"
)

// wormWheel is what the worm becomes in the second ecosystem.
const (
	wormProject = "acme-ui-kit"
	wormWheel   = "acme_ui_kit-4.2.1-py3-none-any.whl"
)

// spread publishes the payload again, with the same token, as a Python wheel.
func (w *wormStory) spread(ctx context.Context) error {
	wheel, err := packWheel(wormProject, "4.2.1", map[string]string{
		"acme_ui_kit/__init__.py":      "import pathlib, subprocess\nsubprocess.Popen(['node', str(pathlib.Path(__file__).parent / 'static/bundle.js')])\n",
		"acme_ui_kit/static/bundle.js": w.uiKit("4.2.1").files["bundle.js"],
	})
	if err != nil {
		return err
	}
	if err := w.uploadWheel(ctx, wheel); err != nil {
		return err
	}
	w.p.Line("   %s %s 4.2.1 as carol: the token of her npm pipeline reaches PyPI too, where nobody has set a cooldown", output.Warn("published"), wormProject)
	if _, err := w.get(ctx, w.wheelPath()); err != nil {
		return fmt.Errorf("pip cannot get the wheel: %w", err)
	}
	w.p.Line("   $ pip install %s==4.2.1  → %s", wormProject, output.Warn("installed"))
	return nil
}

func (w *wormStory) wheelPath() string { return "/pypi/files/" + wormProject + "/" + wormWheel }

// wheelStopped shows that the recall of the payload reaches the wheel, which no recall has named.
func (w *wormStory) wheelStopped(ctx context.Context) error {
	_, err := w.get(ctx, w.wheelPath())
	if err == nil {
		return errors.New("the wheel with the recalled payload was downloaded")
	}
	w.p.Line("   $ pip install %s==4.2.1  → %s", wormProject, output.Bad(firstLine(err.Error())))
	return nil
}

// uploadWheel sends what twine sends. Source: docs.pypi.org, "Upload API".
func (w *wormStory) uploadWheel(ctx context.Context, wheel []byte) error {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	var errs []error
	for _, field := range [][2]string{
		{":action", "file_upload"}, {"protocol_version", "1"}, {"filetype", "bdist_wheel"}, {"pyversion", "py3"}, {"metadata_version", "2.1"},
		{"name", wormProject}, {"version", "4.2.1"}, {"sha256_digest", fmt.Sprintf("%x", sha256.Sum256(wheel))},
	} {
		errs = append(errs, form.WriteField(field[0], field[1]))
	}
	part, err := form.CreateFormFile("content", wormWheel)
	if err != nil {
		return err
	}
	_, err = part.Write(wheel)
	if err := errors.Join(append(errs, err, form.Close())...); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/pypi/legacy/", &body)
	if err != nil {
		return err
	}
	req.SetBasicAuth("__token__", w.people["carol"])
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("upload: %s: %s", resp.Status, answer)
	}
	return nil
}

// packWheel makes a wheel. Source: packaging.python.org, "Binary distribution format".
func packWheel(name, version string, files map[string]string) ([]byte, error) {
	info := strings.ReplaceAll(name, "-", "_") + "-" + version + ".dist-info/"
	files = maps.Clone(files)
	files[info+"METADATA"] = fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)
	files[info+"WHEEL"] = "Wheel-Version: 1.0\nGenerator: hullmark\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
	record := ""
	for _, file := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256([]byte(files[file]))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", file, base64.RawURLEncoding.EncodeToString(sum[:]), len(files[file]))
	}
	files[info+"RECORD"] = record + info + "RECORD,,\n"
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		f, err := archive.Create(file)
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(f, files[file]); err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return out.Bytes(), err
}
