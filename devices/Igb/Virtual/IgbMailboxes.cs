namespace Vfio.Devices.Igb;

/// <summary>The mailboxes between the physical function and each virtual one (82576 datasheet §7.10.2.9). Caller holds the state lock.</summary>
/// <param name="device">The physical function.</param>
internal sealed class IgbMailboxes(IgbDevice device)
{
    public const int Functions = 8;
    private const uint Send = 1;
    private const uint Acknowledge = 2;
    private const uint OwnedByVirtual = 4;
    private const uint OwnedByPhysical = 8;
    private const uint TakeBack = 16;

    /// <summary>What a virtual function reads in V2PMAILBOX besides who owns it.</summary>
    private const uint HasMessage = 0x10;
    private const uint HasAcknowledgement = 0x20;
    private const uint ResetIndicated = 0x40;
    private const uint ResetDone = 0x80;
    private const uint ReadToClear = HasMessage | HasAcknowledgement | ResetDone;
    private const uint MailboxCause = 1U << 8;
    private readonly uint[] _mail = new uint[Functions];

    /// <summary>The physical function writes P2VMAILBOX.</summary>
    /// <returns>The new content.</returns>
    public uint WritePhysical(int function, uint value, uint old)
    {
        uint content = old & (OwnedByVirtual | OwnedByPhysical);
        if ((value & TakeBack) != 0)
        {
            content &= ~OwnedByVirtual;
        }

        if ((value & OwnedByPhysical) == 0)
        {
            content &= ~OwnedByPhysical;
        }
        else if ((content & OwnedByVirtual) == 0)
        {
            content |= OwnedByPhysical;
        }

        uint mail = ((value & Send) != 0 ? HasMessage : 0) | ((value & Acknowledge) != 0 ? HasAcknowledgement : 0);
        if (mail != 0)
        {
            _mail[function] |= mail;
            device.FunctionAt(function)?.Registers.RaiseMail();
        }

        return content;
    }

    /// <summary>A virtual function writes V2PMAILBOX.</summary>
    public void WriteVirtual(int function, uint value)
    {
        Span<uint> mailboxes = device.General.Mailbox;
        uint content = mailboxes[function];
        if ((value & OwnedByVirtual) == 0)
        {
            content &= ~OwnedByVirtual;
        }
        else if ((content & OwnedByPhysical) == 0)
        {
            content |= OwnedByVirtual;
        }

        mailboxes[function] = content;
        uint causes = ((value & Send) != 0 ? 1U << function : 0) | ((value & Acknowledge) != 0 ? 0x1_0000U << function : 0);
        if (causes == 0)
        {
            return;
        }

        device.General.MailboxCause |= causes;
        if ((device.General.MailboxMask & (1U << function)) != 0)
        {
            device.Causes.Raise(MailboxCause);
        }
    }

    /// <summary>A virtual function reads V2PMAILBOX.</summary>
    public uint ReadVirtual(int function)
    {
        uint value = (device.General.Mailbox[function] & (OwnedByVirtual | OwnedByPhysical)) | _mail[function];
        _mail[function] &= ~ReadToClear;
        return value;
    }

    /// <summary>A virtual function was reset.</summary>
    public void FunctionReset(int function)
    {
        device.General.Mailbox[function] = 0;
        device.General.FunctionResets |= 1U << function;
        device.Causes.Raise(MailboxCause);
    }

    /// <summary>The physical function was reset: the virtual ones wait until its driver says that it is done.</summary>
    public void PhysicalReset()
    {
        foreach (ref uint mail in _mail.AsSpan())
        {
            mail = ResetIndicated;
        }
    }

    /// <summary>The physical function's driver sets CTRL_EXT's PFRSTD.</summary>
    public void PhysicalResetDone()
    {
        foreach (ref uint mail in _mail.AsSpan())
        {
            mail = (mail & ~ResetIndicated) | ResetDone;
        }
    }

    /// <summary>A virtual function comes or goes.</summary>
    public void Forget(int function)
    {
        device.General.Mailbox[function] = 0;
        _mail[function] &= ResetIndicated;
    }
}
