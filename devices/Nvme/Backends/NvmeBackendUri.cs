namespace Vfio.Devices.Nvme;

/// <summary>What keeps the blocks of a namespace, as a text: <c>memory:64M</c>, <c>null:1T</c>, <c>file:disk.img?direct=1</c>, <c>nbd://host/export</c> or a plain path.</summary>
/// <remarks>
/// <para>
/// Names and options are those that users of QEMU, nbdkit and libnbd know; the forms of <c>nbd</c> are those of the NBD URI specification. What is behind
/// a question mark are options, with percent escapes as in every URI. A text that does not begin with one of the schemes is a path and taken as it is.
/// </para>
/// <para>The README of the device lists the options.</para>
/// </remarks>
public sealed class NvmeBackendUri
{
    private const string Schemes = "memory:SIZE, null:SIZE, file:PATH, nbd://HOST[:PORT][/EXPORT], nbd+unix:///EXPORT?socket=PATH and a plain path";
    private readonly Func<ulong, INvmeBackend> _open;

    private NvmeBackendUri(string text, IReadOnlyList<NvmeBackendFile> files, bool usesNetwork, Func<ulong, INvmeBackend> open)
    {
        Text = text;
        Files = files;
        UsesNetwork = usesNetwork;
        _open = open;
    }

    /// <summary>The text.</summary>
    public string Text { get; }

    /// <summary>The files and UNIX sockets that it opens.</summary>
    public IReadOnlyList<NvmeBackendFile> Files { get; }

    /// <summary>Whether it connects to another machine by TCP.</summary>
    public bool UsesNetwork { get; }

    /// <summary>Reads a text. Nothing is opened yet.</summary>
    /// <param name="text">The text.</param>
    /// <exception cref="FormatException">It is no backend; the message says what is accepted.</exception>
    public static NvmeBackendUri Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string scheme = colon < 0 || text.AsSpan(0, colon).Contains('/') ? "" : text[..colon];
        if (scheme.Length == 0)
        {
            return text.Length == 0 ? throw new FormatException($"nvme backend '': {Schemes} are accepted.") : ParsePath(text);
        }

        string rest = text[(colon + 1)..];
        int mark = rest.IndexOf('?', StringComparison.Ordinal);
        var query = new BackendQuery(text, mark < 0 ? null : rest[(mark + 1)..]);
        string place = mark < 0 ? rest : rest[..mark];
        NvmeBackendUri uri = scheme switch
        {
            "memory" => ParseSized(text, place, static size => new MemoryBackend(size)),
            "null" => ParseSized(text, place, static size => new NullBackend(size)),
            "file" => ParseFile(text, place, query),
            "nbd" or "nbd+unix" => ParseNbd(text, scheme, place, query),
            "nbds" or "nbds+unix" => throw new FormatException($"nvme backend '{text}': TLS is not spoken here; use nbd:// on a network that is trusted, or through a tunnel."),
            _ => throw new FormatException($"nvme backend '{text}': there is no '{scheme}:'; {Schemes} are accepted. A file of that name is './{text}'."),
        };
        query.End();
        return uri;
    }

    /// <summary>Opens the backend.</summary>
    /// <param name="size">Length in bytes that a plain path gets when there is no file; 0 for none. The others have theirs in the text.</param>
    /// <exception cref="IOException">It cannot be opened; the message says what was tried, what came back and what to do.</exception>
    public INvmeBackend Open(ulong size = 0) => _open(size);

    /// <inheritdoc/>
    public override string ToString() => Text;

    private static NvmeBackendUri ParsePath(string path)
        => new(path, [new NvmeBackendFile(path, IsReadOnly: false)], usesNetwork: false, size => new FileBackend(path, size));

    private static NvmeBackendUri ParseSized(string text, string place, Func<ulong, INvmeBackend> make)
    {
        if (!SizeText.TryParse(place, out ulong size) || size is < 512 or > long.MaxValue)
        {
            throw new FormatException($"nvme backend '{text}': a number of bytes from 512 is accepted behind the colon, which may end in K, M, G or T.");
        }

        return new NvmeBackendUri(text, [], usesNetwork: false, _ => make(size));
    }

    private static NvmeBackendUri ParseFile(string text, string place, BackendQuery query)
    {
        // file:///absolute as in every URI, and file:relative or file:/absolute as people write it.
        string path = Uri.UnescapeDataString(place.StartsWith("//", StringComparison.Ordinal) ? place[2..] : place);
        if (path.Length == 0 || (place.StartsWith("//", StringComparison.Ordinal) && path[0] != '/'))
        {
            throw new FormatException($"nvme backend '{text}': file:PATH or file:///PATH is accepted; a file on another machine is reached by nbd://HOST.");
        }

        var options = new FileBackendOptions
        {
            CreateSize = query.Size("create"),
            IsReadOnly = query.Switch("readonly", otherwise: false),
            IsDirect = query.Switch("direct", otherwise: false),
            IsLocked = query.Switch("lock", otherwise: true),
        };
        string? overlay = query.Text("overlay");
        if (options.CreateSize != 0 && (options.IsReadOnly || overlay is not null))
        {
            throw new FormatException($"nvme backend '{text}': a file that is made is written; leave create or {(options.IsReadOnly ? "readonly" : "overlay")} out.");
        }

        bool isReadOnly = options.IsReadOnly || overlay is not null;
        return WithOverlay(new NvmeBackendUri(text, [new NvmeBackendFile(path, isReadOnly)], usesNetwork: false, _ => FileBackend.Open(path, options with { IsReadOnly = isReadOnly })), overlay, options.IsReadOnly, options.IsDirect);
    }

    private static NvmeBackendUri ParseNbd(string text, string scheme, string place, BackendQuery query)
    {
        var address = NbdAddress.Parse(text, scheme, place, query);
        string? overlay = query.Text("overlay");
        var uri = new NvmeBackendUri(
            text,
            address.SocketPath is { } path ? [new NvmeBackendFile(path, IsReadOnly: false)] : [],
            usesNetwork: address.SocketPath is null,
            _ => NbdBackend.Open(address with { IsReadOnly = address.IsReadOnly || overlay is not null }));
        return WithOverlay(uri, overlay, address.IsReadOnly, isDirect: false);
    }

    /// <summary>The backend with an overlay, when there is one.</summary>
    private static NvmeBackendUri WithOverlay(NvmeBackendUri lower, string? overlay, bool isReadOnly, bool isDirect)
    {
        if (overlay is null)
        {
            return lower;
        }

        if (isReadOnly)
        {
            throw new FormatException($"nvme backend '{lower.Text}': with an overlay the base is never written, and the namespace is; leave readonly or overlay out.");
        }

        return overlay == "memory"
            ? new NvmeBackendUri(lower.Text, lower.Files, lower.UsesNetwork, size => OverlayBackend.InMemory(lower.Open(size)))
            : new NvmeBackendUri(lower.Text, [.. lower.Files, new NvmeBackendFile(overlay, IsReadOnly: false)], lower.UsesNetwork, size => OverlayBackend.InFile(lower.Open(size), overlay, isDirect));
    }
}
