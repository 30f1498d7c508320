package nuget

import (
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/registry/nuget/nupkg"
)

// metadata is what is kept of a version, and read of an upstream's, to render documents from.
type metadata struct {
	ID      string `json:"id"`      // as its publisher writes it
	Display string `json:"version"` // in normal form, with metadata and in its publisher's letter case

	Title        string   `json:"title,omitempty"`
	Authors      string   `json:"authors,omitempty"`
	Description  string   `json:"description,omitempty"`
	Summary      string   `json:"summary,omitempty"`
	ReleaseNotes string   `json:"releaseNotes,omitempty"`
	Copyright    string   `json:"copyright,omitempty"`
	Language     string   `json:"language,omitempty"`
	ProjectURL   string   `json:"projectUrl,omitempty"`
	IconURL      string   `json:"iconUrl,omitempty"`
	LicenseURL   string   `json:"licenseUrl,omitempty"`
	License      string   `json:"licenseExpression,omitempty"`
	LicenseFile  string   `json:"licenseFile,omitempty"`
	MinClient    string   `json:"minClientVersion,omitempty"`
	Repository   string   `json:"repository,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	Types        []string `json:"packageTypes,omitempty"`

	RequireLicenseAcceptance bool                    `json:"requireLicenseAcceptance,omitempty"`
	SemVer2                  bool                    `json:"semVer2,omitempty"`
	Groups                   []nupkg.DependencyGroup `json:"dependencyGroups,omitempty"`

	SHA512 string `json:"packageHash,omitempty"` // of the package as it is served, base64
	// Pushed is the package's digest before it was countersigned; empty when it was not.
	Pushed digest.Digest `json:"pushed,omitempty"`
	Nuspec digest.Digest `json:"nuspec,omitempty"` // the document itself
	Readme digest.Digest `json:"readme,omitempty"`
	// Author is the subject of the certificate behind the author's signature, where it was verified.
	Author string `json:"author,omitempty"`
}

// described returns the metadata of a nuspec.
func described(n *nupkg.Nuspec) *metadata {
	return &metadata{
		ID: n.ID, Display: n.Version.Full(), Title: n.Title, Authors: n.Authors, Description: n.Description, Summary: n.Summary,
		ReleaseNotes: n.ReleaseNotes, Copyright: n.Copyright, Language: n.Language, ProjectURL: n.ProjectURL, IconURL: n.IconURL,
		LicenseURL: n.LicenseURL, License: n.License, LicenseFile: n.LicenseFile, MinClient: n.MinClient, Repository: n.Repository,
		Tags: n.Tags, Types: n.Types, RequireLicenseAcceptance: n.RequireLicenseAcceptance, SemVer2: n.SemVer2(), Groups: n.Groups,
	}
}
