namespace Vfio.Devices.Nvme;

/// <summary>Numbers of the NBD protocol (the NetworkBlockDevice project's <c>proto.md</c>). Everything on the wire is big-endian.</summary>
internal static class NbdProtocol
{
    public const int DefaultPort = 10809;

    // The beginning of a connection: "NBDMAGIC", "IHAVEOPT".
    public const ulong Magic = 0x4e42444d41474943;
    public const ulong OptionMagic = 0x49484156454f5054;
    public const ulong OldStyleMagic = 0x00420281861253;
    public const ulong OptionReplyMagic = 0x3e889045565a9;

    public const ushort FixedNewstyle = 1;
    public const ushort NoZeroes = 2;

    public const uint OptionGo = 7;
    public const ushort InfoExport = 0;
    public const ushort InfoBlockSize = 3;

    public const uint ReplyAcknowledge = 1;
    public const uint ReplyInfo = 3;
    public const uint ReplyErrorFlag = 0x8000_0000;
    public const uint ErrorUnsupported = 0x8000_0001;
    public const uint ErrorPolicy = 0x8000_0002;
    public const uint ErrorTlsRequired = 0x8000_0005;
    public const uint ErrorUnknownExport = 0x8000_0006;
    public const uint ErrorShutdown = 0x8000_0007;
    public const uint ErrorBlockSizeRequired = 0x8000_0008;

    /// <summary>The longest export name.</summary>
    public const int MaxName = 4096;

    /// <summary>The longest reply to an option that is taken: names and messages have up to 4096 bytes.</summary>
    public const int MaxOptionReply = 8192;

    // Transmission flags.
    public const ushort HasFlags = 1;
    public const ushort ReadOnly = 2;
    public const ushort SendFlush = 4;
    public const ushort SendFua = 8;
    public const ushort SendWriteZeroes = 64;

    // Requests: 28 bytes, then the data of a write. Replies: 16 bytes, then the data of a read.
    public const uint RequestMagic = 0x25609513;
    public const uint SimpleReplyMagic = 0x67446698;
    public const int RequestLength = 28;
    public const int ReplyLength = 16;

    public const ushort FlagFua = 1;

    /// <summary>What the server says in a reply when it is about to end: the request is not executed.</summary>
    public const uint ErrorServerShutdown = 108;
}
