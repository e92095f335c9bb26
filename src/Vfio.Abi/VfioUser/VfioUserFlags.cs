namespace Vfio.Abi;

/// <summary>The <c>flags</c> of <see cref="VfioUserHeader"/>.</summary>
[Flags]
public enum VfioUserFlags : uint
{
    /// <summary>Type 0: a command.</summary>
    Command = 0,

    /// <summary>Type 1: a reply.</summary>
    Reply = 1,

    /// <summary>The bits that hold the type.</summary>
    TypeMask = 0xF,

    /// <summary>On a command: the sender wants no reply, not even for a failure.</summary>
    NoReply = 0x10,

    /// <summary>On a reply: the command failed, <c>error_no</c> says why, and there is no payload.</summary>
    Error = 0x20,
}
