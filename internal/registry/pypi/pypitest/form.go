package pypitest

import (
	"bytes"
	"maps"
	"mime/multipart"
	"slices"
)

// Form is what twine sends for a file of the distribution: the media type and the body. more are fields besides.
func (d Dist) Form(file string, content []byte, more map[string]string) (contentType string, body []byte) {
	kind := "bdist_wheel"
	if file == d.SdistFile() {
		kind = "sdist"
	}
	fields := map[string]string{
		":action": "file_upload", "protocol_version": "1", "name": d.Name, "version": d.Version, "filetype": kind, "metadata_version": "2.1",
	}
	maps.Copy(fields, more)
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if err := w.WriteField(key, fields[key]); err != nil {
			panic(err)
		}
	}
	part, err := w.CreateFormFile("content", file)
	if err != nil {
		panic(err)
	}
	part.Write(content)
	w.Close()
	return w.FormDataContentType(), b.Bytes()
}
