package cli

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// demoLayer is one layer of a demo's image.
type demoLayer struct {
	instruction string
	files       map[string]string
}

// demoBase is a base image's layer.
func demoBase() demoLayer {
	return demoLayer{"ADD rootfs.tar /", map[string]string{
		"etc/os-release": "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"var/lib/dpkg/status": "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\n" +
			"Version: 12.4+deb12u12\nDescription: Debian base system miscellaneous files\n\n",
	}}
}

// demoImage builds an image of three layers: a base, the installed package, and an application
// with a file that somebody copied out of an older version.
func demoImage() (v1.Image, error) {
	installed := map[string]string{}
	for file, content := range demoFiles("1.1.0") {
		installed["app/node_modules/@acme/greet/"+file] = content
	}
	return buildImage([]demoLayer{
		demoBase(),
		{"RUN npm ci", installed},
		{"COPY . /app", map[string]string{
			"app/server.js":        "console.log(require('@acme/greet')('world'))\n",
			"app/vendor/oldies.js": demoFiles("1.0.0")["lib/words.js"],
		}},
	})
}

func buildImage(layers []demoLayer) (v1.Image, error) {
	image := empty.Image
	for _, l := range layers {
		var raw bytes.Buffer
		if err := writeTar(&raw, "", l.files); err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(raw.Bytes())), nil
		})
		if err != nil {
			return nil, err
		}
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: l.instruction}})
		if err != nil {
			return nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	return mutate.ConfigFile(image, config)
}

// pushImage pushes to a Hullmark at url ("http://host:port") and returns the manifest digest.
func pushImage(ctx context.Context, url, repositoryTag, user, token string, image v1.Image) (string, error) {
	_, host, _ := strings.Cut(url, "://")
	ref, err := name.ParseReference(host+"/"+repositoryTag, name.Insecure)
	if err != nil {
		return "", err
	}
	auth := &authn.Basic{Username: user, Password: token}
	if err := remote.Write(ref, image, remote.WithContext(ctx), remote.WithAuth(auth)); err != nil {
		return "", err
	}
	digest, err := image.Digest()
	return digest.String(), err
}
