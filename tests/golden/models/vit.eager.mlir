// vit, eager, padded: 2 sites
// Read as: full, 4 heads, scale 0.25
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, scale = 0.25, algorithm = "exact") : (!torch.vtensor<[2,4,50,16],f32>, !torch.vtensor<[2,4,50,16],f32>, !torch.vtensor<[2,4,50,16],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, scale = 0.25, algorithm = "exact") : (!torch.vtensor<[2,4,50,16],f32>, !torch.vtensor<[2,4,50,16],f32>, !torch.vtensor<[2,4,50,16],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: return

// torch 2.13, transformers 5.23
module {
  func.func @main(%arg0: !torch.vtensor<[2,3,28,28],f32>, %arg1: !torch.vtensor<[64,3,4,4],f32>, %arg2: !torch.vtensor<[64],f32>, %arg3: !torch.vtensor<[1,1,64],f32>, %arg4: !torch.vtensor<[1,50,64],f32>, %arg5: !torch.vtensor<[64],f32>, %arg6: !torch.vtensor<[64],f32>, %arg7: !torch.vtensor<[64,64],f32>, %arg8: !torch.vtensor<[64],f32>, %arg9: !torch.vtensor<[64,64],f32>, %arg10: !torch.vtensor<[64],f32>, %arg11: !torch.vtensor<[64,64],f32>, %arg12: !torch.vtensor<[64],f32>, %arg13: !torch.vtensor<[64,64],f32>, %arg14: !torch.vtensor<[64],f32>, %arg15: !torch.vtensor<[64],f32>, %arg16: !torch.vtensor<[64],f32>, %arg17: !torch.vtensor<[96,64],f32>, %arg18: !torch.vtensor<[96],f32>, %arg19: !torch.vtensor<[64,96],f32>, %arg20: !torch.vtensor<[64],f32>, %arg21: !torch.vtensor<[64],f32>, %arg22: !torch.vtensor<[64],f32>, %arg23: !torch.vtensor<[64,64],f32>, %arg24: !torch.vtensor<[64],f32>, %arg25: !torch.vtensor<[64,64],f32>, %arg26: !torch.vtensor<[64],f32>, %arg27: !torch.vtensor<[64,64],f32>, %arg28: !torch.vtensor<[64],f32>, %arg29: !torch.vtensor<[64,64],f32>, %arg30: !torch.vtensor<[64],f32>, %arg31: !torch.vtensor<[64],f32>, %arg32: !torch.vtensor<[64],f32>, %arg33: !torch.vtensor<[96,64],f32>, %arg34: !torch.vtensor<[96],f32>, %arg35: !torch.vtensor<[64,96],f32>, %arg36: !torch.vtensor<[64],f32>, %arg37: !torch.vtensor<[64],f32>, %arg38: !torch.vtensor<[64],f32>, %arg39: !torch.vtensor<[64,64],f32>, %arg40: !torch.vtensor<[64],f32>) -> !torch.vtensor<[2,50,64],f32> {
    %int4 = torch.constant.int 4
    %0 = torch.prim.ListConstruct %int4, %int4 : (!torch.int, !torch.int) -> !torch.list<int>
    %int0 = torch.constant.int 0
    %1 = torch.prim.ListConstruct %int0, %int0 : (!torch.int, !torch.int) -> !torch.list<int>
    %int1 = torch.constant.int 1
    %2 = torch.prim.ListConstruct %int1, %int1 : (!torch.int, !torch.int) -> !torch.list<int>
    %3 = torch.aten.conv2d %arg0, %arg1, %arg2, %0, %1, %2, %int1 : !torch.vtensor<[2,3,28,28],f32>, !torch.vtensor<[64,3,4,4],f32>, !torch.vtensor<[64],f32>, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.int -> !torch.vtensor<[2,64,7,7],f32>
    %int2 = torch.constant.int 2
    %int-1 = torch.constant.int -1
    %4 = torch.aten.flatten.using_ints %3, %int2, %int-1 : !torch.vtensor<[2,64,7,7],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,64,49],f32>
    %5 = torch.aten.transpose.int %4, %int1, %int2 : !torch.vtensor<[2,64,49],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,49,64],f32>
    %6 = torch.prim.ListConstruct %int2, %int-1, %int-1 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %false = torch.constant.bool false
    %7 = torch.aten.expand %arg3, %6, %false : !torch.vtensor<[1,1,64],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,1,64],f32>
    %8 = torch.prim.ListConstruct %7, %5 : (!torch.vtensor<[2,1,64],f32>, !torch.vtensor<[2,49,64],f32>) -> !torch.list<vtensor>
    %9 = torch.aten.cat %8, %int1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,50,64],f32>
    %10 = torch.aten.add.Tensor %9, %arg4, %int1 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[1,50,64],f32>, !torch.int -> !torch.vtensor<[2,50,64],f32>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %11 = torch.aten.dropout %10, %float0.000000e00, %false : !torch.vtensor<[2,50,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,50,64],f32>
    %int64 = torch.constant.int 64
    %12 = torch.prim.ListConstruct %int64 : (!torch.int) -> !torch.list<int>
    %float9.999990e-13 = torch.constant.float 9.9999999999999998E-13
    %true = torch.constant.bool true
    %13 = torch.aten.layer_norm %11, %12, %arg5, %arg6, %float9.999990e-13, %true : !torch.vtensor<[2,50,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,50,64],f32>
    %14 = torch.aten.linear %13, %arg7, %arg8 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,50,64],f32>
    %int50 = torch.constant.int 50
    %int16 = torch.constant.int 16
    %15 = torch.prim.ListConstruct %int2, %int50, %int-1, %int16 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %16 = torch.aten.view %14, %15 : !torch.vtensor<[2,50,64],f32>, !torch.list<int> -> !torch.vtensor<[2,50,4,16],f32>
    %17 = torch.aten.transpose.int %16, %int1, %int2 : !torch.vtensor<[2,50,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,50,16],f32>
    %18 = torch.aten.linear %13, %arg9, %arg10 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,50,64],f32>
    %19 = torch.aten.view %18, %15 : !torch.vtensor<[2,50,64],f32>, !torch.list<int> -> !torch.vtensor<[2,50,4,16],f32>
    %20 = torch.aten.transpose.int %19, %int1, %int2 : !torch.vtensor<[2,50,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,50,16],f32>
    %21 = torch.aten.linear %13, %arg11, %arg12 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,50,64],f32>
    %22 = torch.aten.view %21, %15 : !torch.vtensor<[2,50,64],f32>, !torch.list<int> -> !torch.vtensor<[2,50,4,16],f32>
    %23 = torch.aten.transpose.int %22, %int1, %int2 : !torch.vtensor<[2,50,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,50,16],f32>
    %24:2 = torch.operator "torch.hyper.attention"(query = %17, key = %20, value = %23, scale = 0.25, algorithm = "exact") : (!torch.vtensor<[2,4,50,16],f32>, !torch.vtensor<[2,4,50,16],f32>, !torch.vtensor<[2,4,50,16],f32>) -> (!torch.vtensor<[2,4,50,16],f32>, !torch.vtensor<[2,4,50],f32>) 
    %25 = torch.aten.transpose.int %24#0, %int1, %int2 : !torch.vtensor<[2,4,50,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,50,4,16],f32>
    %26 = torch.aten.contiguous %25, %int0 : !torch.vtensor<[2,50,4,16],f32>, !torch.int -> !torch.vtensor<[2,50,4,16],f32>
    %27 = torch.prim.ListConstruct %int2, %int50, %int-1 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %28 = torch.aten.reshape %26, %27 : !torch.vtensor<[2,50,4,16],f32>, !torch.list<int> -> !torch.vtensor<[2,50,64],f32>
    %29 = torch.aten.linear %28, %arg13, %arg14 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,50,64],f32>
    %30 = torch.aten.dropout %29, %float0.000000e00, %false : !torch.vtensor<[2,50,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,50,64],f32>
    %31 = torch.aten.add.Tensor %30, %11, %int1 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[2,50,64],f32>, !torch.int -> !torch.vtensor<[2,50,64],f32>
    %32 = torch.aten.layer_norm %31, %12, %arg15, %arg16, %float9.999990e-13, %true : !torch.vtensor<[2,50,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,50,64],f32>
    %33 = torch.aten.linear %32, %arg17, %arg18 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[96,64],f32>, !torch.vtensor<[96],f32> -> !torch.vtensor<[2,50,96],f32>
    %str_2 = torch.constant.str "none"
    %34 = torch.aten.gelu %33, %str_2 : !torch.vtensor<[2,50,96],f32>, !torch.str -> !torch.vtensor<[2,50,96],f32>
    %35 = torch.aten.linear %34, %arg19, %arg20 : !torch.vtensor<[2,50,96],f32>, !torch.vtensor<[64,96],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,50,64],f32>
    %36 = torch.aten.dropout %35, %float0.000000e00, %false : !torch.vtensor<[2,50,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,50,64],f32>
    %37 = torch.aten.add.Tensor %36, %31, %int1 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[2,50,64],f32>, !torch.int -> !torch.vtensor<[2,50,64],f32>
    %38 = torch.aten.layer_norm %37, %12, %arg21, %arg22, %float9.999990e-13, %true : !torch.vtensor<[2,50,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,50,64],f32>
    %39 = torch.aten.linear %38, %arg23, %arg24 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,50,64],f32>
    %40 = torch.aten.view %39, %15 : !torch.vtensor<[2,50,64],f32>, !torch.list<int> -> !torch.vtensor<[2,50,4,16],f32>
    %41 = torch.aten.transpose.int %40, %int1, %int2 : !torch.vtensor<[2,50,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,50,16],f32>
    %42 = torch.aten.linear %38, %arg25, %arg26 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,50,64],f32>
    %43 = torch.aten.view %42, %15 : !torch.vtensor<[2,50,64],f32>, !torch.list<int> -> !torch.vtensor<[2,50,4,16],f32>
    %44 = torch.aten.transpose.int %43, %int1, %int2 : !torch.vtensor<[2,50,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,50,16],f32>
    %45 = torch.aten.linear %38, %arg27, %arg28 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,50,64],f32>
    %46 = torch.aten.view %45, %15 : !torch.vtensor<[2,50,64],f32>, !torch.list<int> -> !torch.vtensor<[2,50,4,16],f32>
    %47 = torch.aten.transpose.int %46, %int1, %int2 : !torch.vtensor<[2,50,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,50,16],f32>
    %48:2 = torch.operator "torch.hyper.attention"(query = %41, key = %44, value = %47, scale = 0.25, algorithm = "exact") : (!torch.vtensor<[2,4,50,16],f32>, !torch.vtensor<[2,4,50,16],f32>, !torch.vtensor<[2,4,50,16],f32>) -> (!torch.vtensor<[2,4,50,16],f32>, !torch.vtensor<[2,4,50],f32>) 
    %49 = torch.aten.transpose.int %48#0, %int1, %int2 : !torch.vtensor<[2,4,50,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,50,4,16],f32>
    %50 = torch.aten.contiguous %49, %int0 : !torch.vtensor<[2,50,4,16],f32>, !torch.int -> !torch.vtensor<[2,50,4,16],f32>
    %51 = torch.aten.reshape %50, %27 : !torch.vtensor<[2,50,4,16],f32>, !torch.list<int> -> !torch.vtensor<[2,50,64],f32>
    %52 = torch.aten.linear %51, %arg29, %arg30 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,50,64],f32>
    %53 = torch.aten.dropout %52, %float0.000000e00, %false : !torch.vtensor<[2,50,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,50,64],f32>
    %54 = torch.aten.add.Tensor %53, %37, %int1 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[2,50,64],f32>, !torch.int -> !torch.vtensor<[2,50,64],f32>
    %55 = torch.aten.layer_norm %54, %12, %arg31, %arg32, %float9.999990e-13, %true : !torch.vtensor<[2,50,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,50,64],f32>
    %56 = torch.aten.linear %55, %arg33, %arg34 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[96,64],f32>, !torch.vtensor<[96],f32> -> !torch.vtensor<[2,50,96],f32>
    %57 = torch.aten.gelu %56, %str_2 : !torch.vtensor<[2,50,96],f32>, !torch.str -> !torch.vtensor<[2,50,96],f32>
    %58 = torch.aten.linear %57, %arg35, %arg36 : !torch.vtensor<[2,50,96],f32>, !torch.vtensor<[64,96],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,50,64],f32>
    %59 = torch.aten.dropout %58, %float0.000000e00, %false : !torch.vtensor<[2,50,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,50,64],f32>
    %60 = torch.aten.add.Tensor %59, %54, %int1 : !torch.vtensor<[2,50,64],f32>, !torch.vtensor<[2,50,64],f32>, !torch.int -> !torch.vtensor<[2,50,64],f32>
    %61 = torch.aten.layer_norm %60, %12, %arg37, %arg38, %float9.999990e-13, %true : !torch.vtensor<[2,50,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,50,64],f32>
    return %61 : !torch.vtensor<[2,50,64],f32>
  }
}
