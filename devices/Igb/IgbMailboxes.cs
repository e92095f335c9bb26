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
    private const uint MailboxCause = 1U << 8;

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

        device.VirtualState(function).ReceiveMail(isMessage: (value & Send) != 0, isAcknowledgement: (value & Acknowledge) != 0);
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

    /// <summary>Who owns a mailbox, as both sides read it.</summary>
    public uint Ownership(int function) => device.General.Mailbox[function] & (OwnedByVirtual | OwnedByPhysical);

    /// <summary>A virtual function was reset.</summary>
    public void FunctionReset(int function)
    {
        device.General.Mailbox[function] = 0;
        device.General.FunctionResets |= 1U << function;
        device.Causes.Raise(MailboxCause);
    }
}
